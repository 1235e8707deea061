/** kind: Egress */
import { defineKind, type ObjectWith } from "../kind.js";
import { list, textSet } from "../list.js";
import { label, method, methodPatterns, statedMethod } from "../names.js";
import { maybe, required } from "../record.js";
import { writtenAs } from "../type.js";

const whenEmpty = "name what may leave the mesh: nothing else does";
const stated = list(statedMethod, { whenEmpty, neverEmpty: true, sortBy: (each) => each });

const fields = {
  name: required(1, label, "", "Unique among the services and egresses of the mesh; callers call it by this name."),
  /** "package.Service/Method", sorted, not empty. */
  methods: required(
    2,
    writtenAs(textSet(method, { whenEmpty, neverEmpty: true }), stated.shape),
    [],
    'The methods that may be called there, and no others; "package.Service/*": those of its descriptor.',
  ),
  idempotent: maybe(
    3,
    methodPatterns,
    "Methods that may be carried out twice with the effect of once; those that descriptors mark IDEMPOTENT are added.",
  ),
  noSideEffects: maybe(
    4,
    methodPatterns,
    "Methods that change nothing; those that descriptors mark NO_SIDE_EFFECTS are added. They are idempotent as well.",
  ),
};

/** Something outside the mesh that services may call by a name of the mesh. */
export interface Egress extends ObjectWith<"Egress", typeof fields> {}

export const egress = defineKind("Egress", fields, {
  noun: "egress",
  about:
    "Something outside the mesh that may be called, by the name that it has inside. Where it is: `ashlar egress set`.",
  page: "policy-egress.md",
  unit: "service",
  key: "egress",
  number: 10,
  isSingle: true,
  exposes: ({ name }) => name,
  check({ name, idempotent = [], noSideEffects = [] }, checker) {
    checker.methods(name, idempotent, "idempotent");
    checker.methods(name, noSideEffects, "noSideEffects");
    const { knownEgresses } = checker.context;
    if (knownEgresses !== undefined && !knownEgresses.has(name))
      checker.warn(
        "name",
        `it has no address in the trust log, so calls to it fail: \`ashlar egress set ${name} --address HOST:PORT\``,
      );
  },
});
