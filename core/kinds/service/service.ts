/** kind: Service */
import { defineKind, type ObjectWith } from "../kind.js";
import { list, textSet } from "../list.js";
import { label, method, methodPatterns, statedMethod } from "../names.js";
import { maybe, optional, required } from "../record.js";
import { writtenAs } from "../type.js";

const stated = list(statedMethod, {
  whenEmpty: "leave it out if the methods are not stated",
  sortBy: (each) => each,
});

const fields = {
  name: required(1, label, "", "Unique in the mesh."),
  /** The methods of the service, "package.Service/Method", sorted; empty: they are not stated. */
  methods: optional(
    2,
    writtenAs(textSet(method, { whenEmpty: "" }), stated.shape),
    [],
    'All methods of the service; "package.Service/*": those of its descriptor. Calls of others are denied; left out: not stated.',
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

/** States that a service exists in the mesh. */
export interface Service extends ObjectWith<"Service", typeof fields> {}

export const service = defineKind("Service", fields, {
  noun: "service",
  about: "A service that exists in the mesh.",
  page: "policy-service.md",
  unit: "service",
  key: "service",
  number: 2,
  isSingle: true,
  exposes: ({ name, methods }) => (methods.length > 0 ? name : undefined),
  check({ name, idempotent = [], noSideEffects = [] }, checker) {
    checker.methods(name, idempotent, "idempotent");
    checker.methods(name, noSideEffects, "noSideEffects");
  },
});
