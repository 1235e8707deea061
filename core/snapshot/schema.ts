import { kinds } from "../kinds/table.js";
import { descriptor } from "./descriptor-shape.js";
import type { JsonSchema } from "./shapes.js";

/**
 * Returns the JSON Schema (draft 2020-12) of one document of a policy file, for editors. It is generated from the
 * description that the parser uses. The parser checks more (names, references, sums), so it may refuse what the schema
 * accepts.
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
