/** The type of CEL expressions in policy, which may be left out. */
import { checkCondition } from "../policy/condition/condition.js";
import { checkKeyExpression } from "../policy/condition/key-expression.js";
import type { ConditionProblem } from "../policy/condition/problem.js";
import { condition as conditionShape, keyExpression as keyShape } from "../snapshot/condition-shape.js";
import { textOrNone } from "./types.js";

const whyNot =
  (check: (text: string) => readonly ConditionProblem[]) =>
  (text: string): string | undefined => {
    if (text !== text.trim() || text === "") return "blanks around it, or nothing in it";
    const [problem] = check(text);
    return problem && `at character ${problem.offset + 1}: ${problem.message}`;
  };

/** A condition on a call: an expression that is true or false. */
export const condition = textOrNone(conditionShape, whyNot(checkCondition));
/** An expression that makes a text from a call. */
export const keyExpression = textOrNone(keyShape, whyNot(checkKeyExpression));
