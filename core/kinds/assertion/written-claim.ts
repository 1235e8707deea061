/** How files write an Assertion: exactly one of `never` and `always`, with callers, a service and methods. */

import { optional, record, required, type Shape } from "../../snapshot/shapes.js";
import { isMap, isSeq } from "../../snapshot/yaml-nodes.js";
import { caller, callers, label, methodPatterns } from "../names.js";
import { constant } from "../types.js";

interface Written {
  readonly kind: "Assertion";
  readonly name: string;
  readonly service: string;
  readonly claim: "never" | "always";
  readonly from: readonly string[];
  readonly methods: readonly string[];
}

/** A list of callers, or one caller without a list. */
const oneOrMoreCallers: Shape<readonly string[]> = {
  expected: callers.shape.expected,
  schema: { anyOf: [caller.shape.schema, callers.shape.schema] },
  read(node, field, reading) {
    const found = reading.follow(node, field);
    if (found === undefined) return undefined;
    if (isSeq(found) || isMap(found)) return callers.shape.read(found, field, reading);
    const one = caller.shape.read(found, field, reading);
    if (one === undefined) return undefined;
    reading.places.set(`${field}=${one}`, reading.place(found, field));
    return [one];
  },
};

interface Claim {
  readonly from: readonly string[];
  readonly to: string;
  readonly methods: readonly string[];
}

const claim = record<Claim>("callers, a service and methods", {
  from: required(oneOrMoreCallers, [], 'Callers; "*": each and every one.'),
  to: required(label.shape, "", "The service that is called."),
  methods: optional(methodPatterns.shape, [], "Methods; left out: all of the service."),
});
const claims = {
  never: optional(claim, undefined, "None of the callers may call any of the methods, not under a condition either."),
  always: optional(claim, undefined, "All of the callers may call all of the methods, without a condition."),
};
const either = record<{ kind: string; name: string; never: Claim | undefined; always: Claim | undefined }>(
  "an Assertion",
  {
    kind: required(constant("Assertion").shape, "Assertion", "The kind of object."),
    name: required(label.shape, "", "Unique among the assertions of the mesh; findings name it."),
    ...claims,
  },
);

const shape: Shape<Written> = {
  ...either,
  schema: { ...either.schema, oneOf: [{ required: ["never"] }, { required: ["always"] }] },
  read(node, field, reading) {
    const found = either.read(node, field, reading);
    if (found === undefined) return undefined;
    const given = isMap(node) ? (["never", "always"] as const).filter((name) => node.has(name)) : [];
    if (given.length !== 1) {
      const has = given.length === 0 ? "it has neither" : "it has both; write two Assertions";
      reading.report(reading.place(node, field), `an Assertion has either "never" or "always": ${has}`);
    }
    const name = given[0] ?? "never";
    const { from, to, methods } = found[name] ?? { from: [], to: "", methods: [] };
    return { kind: "Assertion", name: found.name, service: to, claim: name, from, methods };
  },
};

export const writtenClaim = {
  shape,
  render: ({ kind, name, service, claim: which, from, methods }: Written): Record<string, unknown> => ({
    kind,
    name,
    [which]: { from, to: service, ...(methods.length === 0 ? {} : { methods }) },
  }),
};
