/** Conditions of rules: CEL, checked as a whole before anything is published, bounded, and without surprises. */
import { AshlarError } from "../../errors.js";
import { ExpressionCompiler } from "./compile-expression.js";
import { type CallInputs, Frame, type Subject } from "./frame.js";
import { parseExpression } from "./parse-expression.js";
import type { ConditionProblem } from "./problem.js";
import { type ConditionRead, policyScope, type Scope } from "./scope.js";
import { Failure, type Outcome } from "./values.js";

export interface Condition {
  /** As it was written. */
  readonly text: string;
  /** All that its verdict depends on. */
  readonly reads: ReadonlySet<ConditionRead>;
  /** It reads nothing but what the caller and the method say, so its verdict may be kept by them. */
  readonly isStatic: boolean;
  /** It reads claims or the issuer of a token. */
  readonly readsToken: boolean;
  /**
   * Whether it holds; a Failure says why that cannot be told, which counts against the call: as a match of a
   * deny, and as none of an allow. Without `inputs`, reading what only a call says is a Failure.
   */
  evaluate(subject: Subject, inputs: CallInputs | undefined): boolean | Failure;
}

/** What evaluates an expression that was checked; `evaluate` gives a value of any kind. */
export interface Evaluable {
  readonly reads: ReadonlySet<ConditionRead>;
  evaluate(subject: Subject | undefined, inputs: CallInputs | undefined): Outcome;
}

const conditionsRememberedMax = 500;
const notTrueOrFalse = new Failure("the condition comes to neither true nor false");
const remembered = new Map<string, Condition | readonly ConditionProblem[]>();

/** The condition, or all that is wrong with it. Never throws. */
export function readCondition(text: string): Condition | readonly ConditionProblem[] {
  const known = remembered.get(text);
  if (known !== undefined) return known;
  const found = buildCondition(text);
  if (remembered.size >= conditionsRememberedMax) remembered.clear();
  remembered.set(text, found);
  return found;
}

/** What is wrong with a condition; empty: nothing. */
export function checkCondition(text: string): readonly ConditionProblem[] {
  const found = readCondition(text);
  return "reads" in found ? [] : found;
}

/** The condition. Fails with `invalid_policy` on one that `checkCondition` has something against. */
export function parseCondition(text: string): Condition {
  const found = readCondition(text);
  if ("reads" in found) return found;
  const [first] = found;
  throw new AshlarError("invalid_policy", `the condition at character ${(first?.offset ?? 0) + 1}: ${first?.message}`);
}

function buildCondition(text: string): Condition | readonly ConditionProblem[] {
  const compiled = compileExpression(text, policyScope, true);
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

/** Checks any expression against any variables; `wantsBool`: it has to come to true or false. */
export function compileExpression(
  text: string,
  scope: Scope,
  wantsBool: boolean,
): Evaluable | readonly ConditionProblem[] {
  const parsed = parseExpression(text);
  if ("message" in parsed) return [parsed];
  const compiler = new ExpressionCompiler(parsed, scope);
  const node = compiler.compile(parsed.expr);
  if (wantsBool) compiler.expectBool(node, parsed.expr, "a condition");
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
