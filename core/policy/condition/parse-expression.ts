/** Parses text to CEL's syntax tree, whose size is bounded before and after parsing. */
import { parse } from "@bufbuild/cel";
import { messageOf } from "../../errors.js";
import type { ConditionProblem } from "./problem.js";

/** The syntax tree that the parser returns. */
export type ParsedExpr = ReturnType<typeof parse>;
export type Expr = NonNullable<ParsedExpr["expr"]>;

/** The content of a syntax node of one kind. */
export type KindOf<Case extends Expr["exprKind"]["case"]> =
  Extract<Expr["exprKind"], { case: Case }> extends {
    value: infer Value;
  }
    ? Value
    : never;

export interface ParsedExpression {
  readonly expr: Expr;
  /** Returns the offset of a node in the text, in UTF-16 code units. */
  offsetOf(expr: Expr): number;
  /** Returns the name of the macro that was expanded into a comprehension, or undefined. */
  macroOf(expr: Expr): string | undefined;
}

/** The most bytes of an expression in UTF-8. */
export const expressionBytesMax = 2048;
const bracketsMax = 24;
const operatorsMax = 200;

/** Returns the syntax tree of `text`, or what is wrong with the text. */
export function parseExpression(text: string): ParsedExpression | ConditionProblem {
  const problem = whyTooComplex(text);
  if (problem !== undefined) return problem;
  let parsed: ParsedExpr;
  try {
    parsed = parse(text);
  } catch (error) {
    return syntaxProblem(text, error);
  }
  const { expr, sourceInfo } = parsed;
  if (expr === undefined) return { offset: 0, message: "there is no expression" };
  const codePoints = [...text];
  const widths = codePoints.length === text.length ? undefined : codePoints;
  return {
    expr,
    offsetOf: ({ id }) => {
      const at = sourceInfo?.positions[String(id)] ?? 0;
      return widths === undefined ? at : widths.slice(0, at).join("").length;
    },
    macroOf: ({ id }) => {
      const call = sourceInfo?.macroCalls[String(id)]?.exprKind;
      return call?.case === "callExpr" ? call.value.function : undefined;
    },
  };
}

/**
 * Returns why a text is too complex to parse. The parser recurses along brackets and operators, so both are counted
 * before it sees the text.
 */
function whyTooComplex(text: string): ConditionProblem | undefined {
  const bytes = Buffer.byteLength(text);
  if (bytes > expressionBytesMax)
    return { offset: 0, message: `the condition has ${bytes} bytes, at most ${expressionBytesMax} are allowed` };
  if (/[\ud800-\udfff]/u.test(text)) return { offset: 0, message: "the condition is not well-formed Unicode" };
  let depth = 0;
  let operators = 0;
  for (let offset = 0; offset < text.length; offset++) {
    const character = text[offset] ?? "";
    if ("([{".includes(character)) depth += 1;
    else if (")]}".includes(character)) depth -= 1;
    else if ("!-?.".includes(character)) operators += 1;
    if (depth > bracketsMax) return { offset, message: `brackets are nested deeper than ${bracketsMax}` };
    if (operators > operatorsMax) return { offset, message: `more than ${operatorsMax} of the operators ! - ? and .` };
  }
  return undefined;
}

interface SyntaxPlace {
  readonly rawMessage?: string;
  readonly location?: { readonly start?: { readonly offset?: number } };
}

function syntaxProblem(text: string, error: unknown): ConditionProblem {
  const { rawMessage, location } = error as SyntaxPlace; // the parser's own error, where it is one
  const offset = Math.min(location?.start?.offset ?? 0, text.length);
  const message = rawMessage ?? messageOf(error);
  const expecting = message.indexOf(" but expecting ");
  const told = message.length > 160 && expecting > 0 ? message.slice(0, expecting) : message;
  return { offset, message: `not an expression of CEL: ${told.slice(0, 200)}` };
}
