/** A condition in a policy file: CEL, checked where it stands. */
import { isScalar } from "yaml";
import { readCondition } from "../policy/condition/condition.js";
import { expressionBytesMax } from "../policy/condition/parse-expression.js";
import { describe, type Shape } from "./shapes.js";

const expected = "a condition in CEL";

/** Its text, without blanks around it. Everything that is wrong in it is reported at its line and column. */
export const condition: Shape<string | undefined> = {
  expected,
  schema: { type: "string", minLength: 1, maxLength: expressionBytesMax, description: expected },
  read(node, field, reading) {
    const found = reading.follow(node, field);
    if (found === undefined) return undefined;
    const place = reading.place(found ?? node, field);
    if (!isScalar(found) || typeof found.value !== "string") {
      const isBool = isScalar(found) && typeof found.value === "boolean";
      const hint = isBool ? `; write it in quotes: "${String(found.value)}"` : "";
      return reading.report(place, `expected ${expected}, found ${describe(found)}${hint}`);
    }
    const { value } = found;
    const text = value.trim();
    if (text === "") return reading.report(place, `expected ${expected}, found nothing; leave it out for none`);
    const condition = readCondition(text);
    if ("reads" in condition) {
      reading.places.set(field, place);
      return text;
    }
    const blanks = value.indexOf(text);
    for (const { offset, message } of condition)
      reading.report(reading.placeWithin(found, value, blanks + offset, field), message);
    return undefined;
  },
};
