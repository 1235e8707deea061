/** CEL expressions in a policy file, which are checked where they are written. */

import { readCondition } from "../policy/condition/condition.js";
import { readKeyExpression } from "../policy/condition/key-expression.js";
import { expressionBytesMax } from "../policy/condition/parse-expression.js";
import type { ConditionProblem } from "../policy/condition/problem.js";
import { describe, type Shape } from "./shapes.js";
import { isScalar } from "./yaml-nodes.js";

/**
 * The shape of an expression: its text without blanks around it. All problems are reported at their line and column.
 */
const expression = (
  expected: string,
  compile: (text: string) => { readonly reads: unknown } | readonly ConditionProblem[],
): Shape<string | undefined> => ({
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
    const compiled = compile(text);
    if ("reads" in compiled) {
      reading.places.set(field, place);
      return text;
    }
    const blanks = value.indexOf(text);
    for (const { offset, message } of compiled)
      reading.report(reading.placeWithin(found, value, blanks + offset, field), message);
    return undefined;
  },
});

/** A condition on a call. */
export const condition = expression("a condition in CEL", readCondition);
/** An expression that computes a key of a call. */
export const keyExpression = expression("a text in CEL", readKeyExpression);
