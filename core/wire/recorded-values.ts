/** Values of claims on the wire. */
import type { RecordedValue as ValueMessage } from "../../proto/gen/ashlar/v1/decision.js";
import { AshlarError } from "../errors.js";
import { isList, isMap, type Value } from "../policy/condition/values.js";

const depthMax = 10;
const intGrammar = /^-?\d{1,20}$/;

/** Fails with `invalid_argument` on a time or duration, which claims never are. */
export function renderValue(value: Value): ValueMessage {
  if (value === null) return { kind: { $case: "nullValue", value: true } };
  switch (typeof value) {
    case "boolean":
      return { kind: { $case: "boolValue", value } };
    case "bigint":
      return { kind: { $case: "intValue", value: String(value) } };
    case "number":
      return { kind: { $case: "doubleValue", value } };
    case "string":
      return { kind: { $case: "stringValue", value } };
    default:
      if (isList(value)) return { kind: { $case: "listValue", value: { items: value.map(renderValue) } } };
      if (!isMap(value)) throw new AshlarError("invalid_argument", "a claim is neither a time nor a duration");
      return {
        kind: {
          $case: "mapValue",
          value: { fields: [...value].map(([name, field]) => ({ name, value: renderValue(field) })) },
        },
      };
  }
}

/** Parses a value. Fails with `invalid_record`. */
export function parseValue(message: ValueMessage | undefined, depth = 0): Value {
  const kind = message?.kind;
  if (kind === undefined || depth > depthMax) throw new AshlarError("invalid_record", "a claim has no value");
  switch (kind.$case) {
    case "nullValue":
      return null;
    case "boolValue":
    case "doubleValue":
    case "stringValue":
      return kind.value;
    case "intValue":
      if (!intGrammar.test(kind.value)) throw new AshlarError("invalid_record", "a claim's number has no digits");
      return BigInt(kind.value);
    case "listValue":
      return kind.value.items.map((item) => parseValue(item, depth + 1));
    case "mapValue":
      return new Map(kind.value.fields.map(({ name, value }) => [name, parseValue(value, depth + 1)]));
  }
}
