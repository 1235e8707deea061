/** An Assertion in a policy file: exactly one of `never` and `always`, with callers, a service and methods. */
import { isMap, isSeq } from "yaml";
import type { Assertion, PolicyObject } from "../model.js";
import { caller, callers, kindOf, label, methodPatterns } from "./name-shapes.js";
import { optional, record, required, type Shape } from "./shapes.js";

interface Claim {
  readonly from: readonly string[];
  readonly to: string;
  readonly methods: readonly string[];
}

/** A list, or one name by itself. */
const oneOrMoreCallers: Shape<readonly string[]> = {
  expected: callers.expected,
  schema: { anyOf: [caller.schema, callers.schema] },
  read(node, field, reading) {
    const found = reading.follow(node, field);
    if (found === undefined) return undefined;
    if (isSeq(found) || isMap(found)) return callers.read(found, field, reading);
    const one = caller.read(found, field, reading);
    if (one === undefined) return undefined;
    reading.places.set(`${field}=${one}`, reading.place(found, field));
    return [one];
  },
};

const claim = record<Claim>("callers, a service and methods", {
  from: required(oneOrMoreCallers, [], 'Callers; "*": each and every one.'),
  to: required(label, "", "The service that is called."),
  methods: optional(methodPatterns, [], "Methods; left out: all of the service."),
});
const claims = {
  never: optional(claim, undefined, "None of the callers may call any of the methods, not under a condition either."),
  always: optional(claim, undefined, "All of the callers may call all of the methods, without a condition."),
};
const written = record<{ kind: string; name: string; never: Claim | undefined; always: Claim | undefined }>(
  "an Assertion",
  {
    kind: kindOf("Assertion"),
    name: required(label, "", "Unique among the assertions of the mesh; findings name it."),
    ...claims,
  },
);

/** How an Assertion is written. */
export const assertion: Shape<PolicyObject> = {
  expected: written.expected,
  schema: { ...written.schema, oneOf: [{ required: ["never"] }, { required: ["always"] }] },
  read(node, field, reading) {
    const found = written.read(node, field, reading);
    if (found === undefined) return undefined;
    const given = isMap(node) ? (["never", "always"] as const).filter((name) => node.has(name)) : [];
    if (given.length !== 1) {
      const has = given.length === 0 ? "it has neither" : "it has both; write two Assertions";
      reading.report(reading.place(node, field), `an Assertion has either "never" or "always": ${has}`);
    }
    const name = given[0] ?? "never";
    const { from, to, methods } = found[name] ?? { from: [], to: "", methods: [] };
    return { kind: "Assertion", name: found.name, service: to, claim: name, from, methods } satisfies Assertion;
  },
};
