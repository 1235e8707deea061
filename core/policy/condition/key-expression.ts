/** Expressions that compute a key from a call: a CEL expression of type text with the variables of conditions. */
import { AshlarError } from "../../errors.js";
import { compileExpression, type Evaluable } from "./condition.js";
import type { ConditionProblem } from "./problem.js";
import { policyScope } from "./scope.js";

export type KeyExpression = Evaluable & { readonly text: string };

/**
 * A key is computed before the call is forwarded. An expression that names the response is told why that cannot work,
 * instead of that the name is unknown.
 */
const readsResponse = /\bresponse\b/;

/** Returns the compiled expression, or everything that is wrong with it. Never throws. */
export function readKeyExpression(text: string): KeyExpression | readonly ConditionProblem[] {
  const found = compileExpression(text, policyScope, "text");
  if ("reads" in found) return { ...found, text };
  return found.map((problem) =>
    readsResponse.test(text) && /response/.test(problem.message)
      ? { ...problem, message: "a key is made before the call is forwarded: it cannot read the response" }
      : problem,
  );
}

/** Returns what is wrong with an expression; an empty list if nothing is. */
export function checkKeyExpression(text: string): readonly ConditionProblem[] {
  const found = readKeyExpression(text);
  return "reads" in found ? [] : found;
}

/** Returns the compiled expression. Fails with `invalid_policy` if `checkKeyExpression` reports a problem. */
export function parseKeyExpression(text: string): KeyExpression {
  const found = readKeyExpression(text);
  if ("reads" in found) return found;
  const [first] = found;
  throw new AshlarError("invalid_policy", `the key at character ${(first?.offset ?? 0) + 1}: ${first?.message}`);
}
