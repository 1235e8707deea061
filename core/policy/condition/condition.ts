/**
 * Conditions of rules in CEL. They are checked completely before anything is published, and their evaluation is bounded
 * and cannot throw.
 */
import { AshlarError } from "../../errors.js";
import { ExpressionCompiler } from "./compile-expression.js";
import { type CallInputs, Frame, type Subject } from "./frame.js";
import { parseExpression } from "./parse-expression.js";
import type { ConditionProblem } from "./problem.js";
import { type ConditionRead, policyScope, type Scope } from "./scope.js";
import { Failure, type Outcome } from "./values.js";

export interface Condition {
  /** The condition as it was written. */
  readonly text: string;
  /** Everything that the result depends on. */
  readonly reads: ReadonlySet<ConditionRead>;
  /** True if the condition reads only the caller and the method, so that its verdict can be cached by them. */
  readonly isStatic: boolean;
  /** True if the condition reads claims or the issuer of a token. */
  readonly readsToken: boolean;
  /**
   * Returns true or false, or a Failure with the reason why the condition cannot be evaluated. A Failure counts against
   * the call: a deny matches, an allow does not. Without `inputs`, reading a value of the call is a Failure.
   */
  evaluate(subject: Subject, inputs: CallInputs | undefined): boolean | Failure;
}

/** A checked expression. `evaluate` returns a value of any kind. */
export interface Evaluable {
  readonly reads: ReadonlySet<ConditionRead>;
  evaluate(subject: Subject | undefined, inputs: CallInputs | undefined): Outcome;
}

const conditionsRememberedMax = 500;
const notTrueOrFalse = new Failure("the condition comes to neither true nor false");
const remembered = new Map<string, Condition | readonly ConditionProblem[]>();

/** Returns the compiled condition, or everything that is wrong with it. Never throws. */
export function readCondition(text: string): Condition | readonly ConditionProblem[] {
  const known = remembered.get(text);
  if (known !== undefined) return known;
  const found = buildCondition(text);
  if (remembered.size >= conditionsRememberedMax) remembered.clear();
  remembered.set(text, found);
  return found;
}

/** Returns what is wrong with a condition; an empty list if nothing is. */
export function checkCondition(text: string): readonly ConditionProblem[] {
  const found = readCondition(text);
  return "reads" in found ? [] : found;
}

/** Returns the compiled condition. Fails with `invalid_policy` if `checkCondition` reports a problem. */
export function parseCondition(text: string): Condition {
  const found = readCondition(text);
  if ("reads" in found) return found;
  const [first] = found;
  throw new AshlarError("invalid_policy", `the condition at character ${(first?.offset ?? 0) + 1}: ${first?.message}`);
}

function buildCondition(text: string): Condition | readonly ConditionProblem[] {
  const compiled = compileExpression(text, policyScope, "bool");
  if (!("reads" in compiled)) return compiled;
  const { reads, evaluate } = compiled;
  return Object.freeze({
    text,
    reads,
    readsToken: reads.has("jwt") || reads.has("issuer"),
    isStatic: [...reads].every((read) => read === "caller" || read === "method"),
    evaluate(subject: Subject, inputs: CallInputs | undefined) {
      const outcome = evaluate(subject, inputs);
      return typeof outcome === "boolean" || outcome instanceof Failure ? outcome : notTrueOrFalse;
    },
  });
}

/** Checks an expression against the given variables. `wanted`: what it must return; undefined: a value of any kind. */
export function compileExpression(
  text: string,
  scope: Scope,
  wanted: "bool" | "text" | undefined,
): Evaluable | readonly ConditionProblem[] {
  const parsed = parseExpression(text);
  if ("message" in parsed) return [parsed];
  const compiler = new ExpressionCompiler(parsed, scope);
  const node = compiler.compile(parsed.expr);
  if (wanted === "bool") compiler.expectBool(node, parsed.expr, "a condition");
  if (wanted === "text") compiler.expectText(node, parsed.expr, "a key");
  const { problems } = compiler.problems;
  if (problems.length > 0) return [...problems].sort((a, b) => a.offset - b.offset);
  const frame = new Frame();
  return {
    reads: compiler.reads,
    evaluate(subject, inputs) {
      frame.start(subject, inputs);
      return node.evaluate(frame);
    },
  };
}
