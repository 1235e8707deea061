/** A condition in CEL, or none. */
import { checkCondition } from "../policy/condition/condition.js";
import { condition as shape } from "../snapshot/condition-shape.js";
import { textOrNone } from "./types.js";

export const condition = textOrNone(shape, (text) => {
  if (text !== text.trim() || text === "") return "blanks around it, or nothing in it";
  const [problem] = checkCondition(text);
  return problem && `at character ${problem.offset + 1}: ${problem.message}`;
});
