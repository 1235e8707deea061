/** Regular expressions in conditions: RE2's syntax, matched in time that is linear in the length of the text. */
import { RE2JS } from "@bufbuild/re2";
import { messageOf } from "../../errors.js";
import type { Frame } from "./frame.js";
import { tooMuchWork } from "./frame.js";
import type { Outcome } from "./values.js";

const patternLengthMax = 256;
/** The most instructions of a compiled pattern. A match costs at most this number times the length of the text. */
const instructionsMax = 500;

export type Pattern = { readonly test: (text: string, frame: Frame) => Outcome } | { readonly problem: string };

/** Compiles a pattern, or returns why it is refused. As in CEL, an unanchored pattern may match anywhere in a text. */
export function compilePattern(pattern: string): Pattern {
  if (pattern.length > patternLengthMax)
    return { problem: `the pattern has ${pattern.length} characters, at most ${patternLengthMax} are allowed` };
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(pattern);
  } catch (error) {
    return { problem: `not a pattern that RE2 knows: ${messageOf(error)}` };
  }
  const instructions = compiled.re2().prog.numInst();
  if (instructions > instructionsMax)
    return { problem: `the pattern takes ${instructions} instructions, at most ${instructionsMax}; repeat less in it` };
  const stepsPerText = 1 + Math.ceil(instructions / 16);
  return {
    test: (text, frame) => (frame.spend(stepsPerText * (1 + (text.length >> 8))) ? compiled.test(text) : tooMuchWork),
  };
}
