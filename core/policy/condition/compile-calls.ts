/** Compiles operators, functions, methods and macros of an expression. */
import { renderNearest } from "../../snapshot/nearest.js";
import { elementNode, elementTypeOf } from "./access.js";
import { asNode, compileHeader, resolve } from "./compile-names.js";
import type { Compiling } from "./compiling.js";
import { Frame } from "./frame.js";
import { functions, methods } from "./functions.js";
import { itemType, macroNode } from "./macros.js";
import { callNode, choiceNode, constantNode, logicNode, type Node, renderTypes } from "./node.js";
import { operators } from "./operators.js";
import type { Overload } from "./overload.js";
import type { Expr, KindOf } from "./parse-expression.js";
import { compilePattern } from "./pattern.js";
import { parseOffset } from "./time.js";
import { Failure, join, renderType, type Type, types } from "./values.js";

const macroDepthMax = 2;
const macroNames: ReadonlySet<string> = new Set(["all", "exists", "exists_one", "filter", "map"]);
const notText = new Failure("only a text can match a pattern");

export function compileCall(
  compiler: Compiling,
  expr: Expr,
  { function: name, target, args }: KindOf<"callExpr">,
): Node {
  const [first, second] = args;
  const isOperator = target === undefined && first !== undefined && second !== undefined;
  if (isOperator && (name === "_&&_" || name === "_||_")) {
    const sides = args.map((each) =>
      compiler.expectBool(compiler.compile(each), each, `a side of ${name.slice(1, 3)}`),
    );
    return sides.reduce((left, right) => logicNode(name === "_||_", left, right));
  }
  if (isOperator && name === "_?_:_") return compileChoice(compiler, expr, args);
  if (isOperator && name === "_[_]") return compileIndex(compiler, expr, first, second);
  if (isOperator && name === "@in") return compileIn(compiler, expr, first, second);
  if (target !== undefined && name === "matches") return compileMatches(compiler, expr, target, args);
  const all = target === undefined ? args : [target, ...args];
  const table = target === undefined ? (operators.get(name) ?? functions.get(name)) : methods.get(name);
  return compileOverloads(compiler, expr, table, name, all, target !== undefined);
}

function compileOverloads(
  compiler: Compiling,
  expr: Expr,
  table: readonly Overload[] | undefined,
  name: string,
  args: readonly Expr[],
  isMethod: boolean,
): Node {
  if (table === undefined && name === "has")
    return compiler.wrong(expr, "has takes one field, as in has(jwt.claims.scope)");
  if (table === undefined && macroNames.has(name))
    return compiler.wrong(
      expr,
      `${name} takes the name of a variable and what is asked of it, as in ${name}(x, x != "")`,
    );
  if (table === undefined) {
    const known = isMethod ? [...methods.keys(), "matches"] : [...functions.keys()];
    const what = isMethod ? "method" : "function";
    return compiler.wrong(expr, `there is no ${what} ${JSON.stringify(name)}${renderNearest(name, known)}`);
  }
  const nodes = args.map((each) => compiler.compile(each));
  const node = callNode(table, nodes);
  const written = /^[_@]?(.+?)_?$/.exec(name.replace(/^_(.*)_$/, "$1"))?.[1] ?? name;
  if (node === undefined) return compiler.wrong(expr, `${written} does not take ${renderTypes(nodes)}`);
  return checkLiteral(compiler, expr, name, nodes, node);
}

/** Checks a timestamp, duration or offset that is written as a literal in the expression. */
function checkLiteral(
  compiler: Compiling,
  expr: Expr,
  name: string,
  [first, second]: readonly Node[],
  node: Node,
): Node {
  if (name.startsWith("get") && second !== undefined) {
    if (second.literal !== undefined && parseOffset(second.literal) !== undefined) return node;
    return compiler.wrong(expr, 'the time zone has to stand here as "UTC" or an offset such as "+02:00"');
  }
  if (first?.literal === undefined || (name !== "timestamp" && name !== "duration")) return node;
  const frame = new Frame();
  frame.start(undefined, undefined);
  const value = node.evaluate(frame);
  if (value instanceof Failure) return compiler.wrong(expr, value.reason);
  return constantNode(node.type, value);
}

function compileChoice(compiler: Compiling, expr: Expr, args: readonly Expr[]): Node {
  const [condition, yes, no] = args;
  if (condition === undefined || yes === undefined || no === undefined) return compiler.wrong(expr, "? needs a :");
  const asked = compiler.expectBool(compiler.compile(condition), condition, "what stands before ?");
  const sides = [compiler.compile(yes), compiler.compile(no)] as const;
  if (
    join(...(sides.map(({ type }) => type) as [Type, Type])).kind === "dyn" &&
    sides.every(({ type }) => type.kind !== "dyn")
  )
    return compiler.wrong(expr, `both sides of : are of one type, not ${renderTypes(sides)}`);
  return choiceNode(asked, ...sides);
}

function compileIndex(compiler: Compiling, expr: Expr, operandExpr: Expr, indexExpr: Expr): Node {
  const named = resolve(compiler, operandExpr);
  if ("declaration" in named && named.declaration.kind === "headers") {
    const name = compiler.compile(indexExpr).literal;
    if (name !== undefined) return compileHeader(compiler, indexExpr, name, false);
    return compiler.wrong(indexExpr, "the name of a header has to stand here as a text");
  }
  const index = compiler.compile(indexExpr);
  const operand = asNode(compiler, operandExpr, named, index.literal);
  const type = elementTypeOf(operand.type, index.type);
  if (type === undefined)
    return compiler.wrong(
      expr,
      `a value of type ${renderType(operand.type)} has no element at a ${renderType(index.type)}`,
    );
  return elementNode(operand, index, type);
}

function compileIn(compiler: Compiling, expr: Expr, item: Expr, range: Expr): Node {
  const named = resolve(compiler, range);
  if ("node" in named || named.declaration.kind !== "headers")
    return compileOverloads(compiler, expr, operators.get("@in"), "@in", [item, range], false);
  const name = compiler.compile(item).literal;
  if (name !== undefined) return compileHeader(compiler, item, name, true);
  return compiler.wrong(item, "the name of a header has to stand here as a text");
}

function compileMatches(compiler: Compiling, expr: Expr, target: Expr, args: readonly Expr[]): Node {
  const text = compiler.compile(target);
  const [patternExpr] = args;
  if (patternExpr === undefined || args.length !== 1) return compiler.wrong(expr, "matches takes one pattern");
  if (text.type.kind !== "string" && text.type.kind !== "dyn")
    return compiler.wrong(expr, `a value of type ${renderType(text.type)} has no method "matches"`);
  const { literal } = compiler.compile(patternExpr);
  if (literal === undefined) return compiler.wrong(patternExpr, "the pattern has to stand here as a text");
  const pattern = compilePattern(literal);
  if ("problem" in pattern) return compiler.wrong(patternExpr, pattern.problem);
  return {
    type: types.bool,
    evaluate(frame) {
      const value = text.evaluate(frame);
      if (value instanceof Failure) return value;
      return typeof value === "string" ? pattern.test(value, frame) : notText;
    },
  };
}

export function compileMacro(compiler: Compiling, expr: Expr, comprehension: KindOf<"comprehensionExpr">): Node {
  const { iterVar, iterRange } = comprehension;
  const name = compiler.parsed.macroOf(expr) ?? "";
  if (iterRange === undefined || compiler.locals.length >= macroDepthMax)
    return compiler.wrong(expr, `macros are nested deeper than ${macroDepthMax}`);
  const range = compiler.compile(iterRange);
  const item = itemType(range.type);
  if (item === undefined)
    return compiler.wrong(iterRange, `nothing can be gone through in a value of type ${renderType(range.type)}`);
  const slot = compiler.locals.length;
  compiler.locals.push({ name: iterVar, type: item, slot });
  const { test, transform } = compileMacroParts(compiler, name, comprehension);
  compiler.locals.pop();
  return macroNode(name, { range, slot, test, transform }) ?? compiler.wrong(expr, `there is no macro ${name}`);
}

/**
 * Compiles the parts of a macro. The parser has expanded macros into loops; the operator's expression is in the loop's
 * step.
 */
function compileMacroParts(compiler: Compiling, name: string, { loopStep }: KindOf<"comprehensionExpr">) {
  const step = loopStep?.exprKind.case === "callExpr" ? loopStep.exprKind.value : undefined;
  const [first, second] = step?.args ?? [];
  const isChoice = step?.function === "_?_:_";
  const testExpr = isChoice ? first : name === "map" ? undefined : second;
  const test = testExpr && compiler.expectBool(compiler.compile(testExpr), testExpr, `what ${name} asks`);
  if (name !== "map") return { test, transform: undefined };
  const sum = isChoice && second?.exprKind.case === "callExpr" ? second.exprKind.value.args[1] : second;
  const made = sum?.exprKind.case === "listExpr" ? sum.exprKind.value.elements[0] : undefined;
  return { test, transform: made && compiler.compile(made) };
}
