/** Expressions in CEL, or none. */
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

/** A condition. */
export const condition = textOrNone(conditionShape, whyNot(checkCondition));
/** A text that is made of a call. */
export const keyExpression = textOrNone(keyShape, whyNot(checkKeyExpression));
