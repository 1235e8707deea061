/**
 * The tokens that calls take from a budget. In files this is one number for all methods, or a list of methods with
 * their cost.
 */

import { isMethodPattern } from "../../snapshot/grammar.js";
import {
  list as listShape,
  record as recordShape,
  required as requiredShape,
  type Shape,
} from "../../snapshot/shapes.js";
import { isSeq } from "../../snapshot/yaml-nodes.js";
import { list } from "../list.js";
import { methodPatterns } from "../names.js";
import { type RecordOf, record, required } from "../record.js";
import type { Type } from "../type.js";
import { text, wholeNumber } from "../types.js";
import { costsMax, tokensMax } from "./limit-grammar.js";

const cost = wholeNumber(0, tokensMax);
const fields = {
  /** "package.Service/Method", "package.Service/*" or "*". */
  method: required(1, text({ expected: "a method", pattern: "", valid: isMethodPattern }), "", "Which calls."),
  /** The tokens that a call takes; 0: calls are free. */
  cost: required(2, cost, 1, "Tokens that a call takes."),
};

export interface MethodCost extends RecordOf<typeof fields> {}

const written = listShape(
  recordShape<{ methods: readonly string[]; cost: number }>("methods with their cost", {
    methods: requiredShape(methodPatterns.shape, [], "The nearest pattern counts: a method, its service, all."),
    cost: requiredShape(cost.shape, 1, "Tokens that a call takes; 0: it is free."),
  }),
  {
    whenEmpty: "leave it out where every call costs 1",
    why(items) {
      const all = items.flatMap(({ methods }) => methods);
      const twice = all.find((method, index) => all.indexOf(method) !== index);
      if (all.length > costsMax) return `${all.length} methods have a cost, at most ${costsMax}`;
      return twice === undefined ? undefined : `${JSON.stringify(twice)} is there twice`;
    },
  },
);

const shape: Shape<readonly MethodCost[]> = {
  expected: `${cost.shape.expected}, or a list of methods with their cost`,
  schema: { anyOf: [cost.shape.schema, written.schema] },
  ...(written.item === undefined ? {} : { item: written.item }),
  read(node, field, reading) {
    const found = reading.follow(node, field);
    if (found === undefined) return undefined;
    reading.places.set(field, reading.place(found ?? node, field));
    if (isSeq(found)) {
      const items = written.read(found, field, reading);
      return items?.flatMap((item) => item.methods.map((method) => ({ method, cost: item.cost })));
    }
    const all = cost.shape.read(found, field, reading);
    return all === undefined ? undefined : [{ method: "*", cost: all }];
  },
};

const sorted = list(record("a method with its cost", fields), {
  whenEmpty: "",
  sortBy: ({ method }) => method,
  why: (items) => (items.length > costsMax ? `${items.length} methods, at most ${costsMax}` : undefined),
});

export const costs: Type<readonly MethodCost[]> = {
  ...sorted,
  shape,
  /** A cost of 1 for all other methods is the default, so it is left out. */
  canonical: (items) => sorted.canonical(items.filter((item) => item.method !== "*" || item.cost !== 1)),
  render(items) {
    const [first] = items;
    if (first === undefined) return undefined;
    if (items.length === 1 && first.method === "*") return first.cost;
    return [...new Set(items.map((item) => item.cost))].map((each) => ({
      methods: items.filter((item) => item.cost === each).map(({ method }) => method),
      cost: each,
    }));
  },
};
