import { kinds } from "../kinds/table.js";
import { descriptor } from "./descriptor-shape.js";
import type { JsonSchema } from "./shapes.js";

/**
 * The JSON Schema (draft 2020-12) of one document of a policy file, for editors. It comes from the same
 * description as the parser; the parser knows more (names, references, sums) and has the last word.
 */
export function policySchema(): JsonSchema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Ashlar policy",
    type: "object",
    required: ["kind", "name"],
    properties: { kind: { enum: [...kinds.map(({ kind }) => kind), "Descriptor"] } },
    oneOf: [...kinds.map(({ shape }) => shape), descriptor].map((shape) => shape.schema),
  };
}
