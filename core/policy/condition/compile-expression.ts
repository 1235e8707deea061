/** The type checker: walks the syntax tree once, reports all problems, and makes nodes that can be evaluated. */
import { compileCall, compileMacro } from "./compile-calls.js";
import { asNode, resolve } from "./compile-names.js";
import type { Compiling, Local } from "./compiling.js";
import { constantNode, listNode, type Node, renderTypes, wrongNode } from "./node.js";
import type { Expr, KindOf, ParsedExpression } from "./parse-expression.js";
import { ProblemList } from "./problem.js";
import type { ConditionRead, Scope } from "./scope.js";
import { join, renderType, type Type, types } from "./values.js";

const nodesMax = 400;
const depthMax = 48;

/** Compiles one expression. */
export class ExpressionCompiler implements Compiling {
  readonly reads = new Set<ConditionRead>();
  readonly problems = new ProblemList();
  readonly parsed: ParsedExpression;
  readonly scope: Scope;
  readonly locals: Local[] = [];
  #nodes = 0;
  #depth = 0;

  constructor(parsed: ParsedExpression, scope: Scope) {
    this.parsed = parsed;
    this.scope = scope;
  }

  /** Returns the node of `expr`. Problems in it are reported, and the rest is checked all the same. */
  compile(expr: Expr): Node {
    this.#nodes += 1;
    if (this.#nodes === nodesMax + 1) this.wrong(expr, `the condition has more than ${nodesMax} parts`);
    if (this.#nodes > nodesMax) return wrongNode;
    if (this.#depth >= depthMax) return this.wrong(expr, `the condition is nested deeper than ${depthMax}`);
    this.#depth += 1;
    const node = this.#compileKind(expr);
    this.#depth -= 1;
    return node;
  }

  /** Reports a node whose value may be neither true nor false. */
  expectBool(node: Node, expr: Expr, what: string): Node {
    if (node.type.kind === "bool" || node.type.kind === "dyn") return node;
    return this.wrong(expr, `${what} has to be true or false, and this is of type ${renderType(node.type)}`);
  }

  /** Reports a node whose value may be something other than a text. */
  expectText(node: Node, expr: Expr, what: string): Node {
    if (node.type.kind === "string" || node.type.kind === "dyn") return node;
    return this.wrong(expr, `${what} has to be a text, and this is of type ${renderType(node.type)}`);
  }

  /** Reports a problem with `expr`. */
  wrong(expr: Expr, message: string): Node {
    this.problems.add(this.parsed.offsetOf(expr), message);
    return wrongNode;
  }

  #compileKind(expr: Expr): Node {
    const { exprKind } = expr;
    switch (exprKind.case) {
      case "constExpr":
        return this.#compileConstant(expr, exprKind.value);
      case "identExpr":
      case "selectExpr":
        return asNode(this, expr, resolve(this, expr));
      case "callExpr":
        return compileCall(this, expr, exprKind.value);
      case "listExpr":
        return this.#compileList(expr, exprKind.value);
      case "comprehensionExpr":
        return compileMacro(this, expr, exprKind.value);
      case "structExpr":
        return this.wrong(expr, "maps and messages cannot be made in a condition");
      default:
        return this.wrong(expr, "this is no expression");
    }
  }

  #compileConstant(expr: Expr, { constantKind }: KindOf<"constExpr">): Node {
    switch (constantKind.case) {
      case "boolValue":
        return constantNode(types.bool, constantKind.value);
      case "int64Value": {
        const { value } = constantKind;
        if (value !== BigInt.asIntN(64, value)) return this.wrong(expr, "the number does not fit 64 bits");
        return constantNode(types.int, value);
      }
      case "doubleValue":
        return constantNode(types.double, constantKind.value);
      case "stringValue":
        return constantNode(types.string, constantKind.value);
      case "nullValue":
        return constantNode(types.null, null);
      default:
        return this.wrong(expr, "unsigned numbers and bytes cannot be used in a condition");
    }
  }

  /** Compiles a list, whose items must be of one type, as everywhere in CEL. */
  #compileList(expr: Expr, { elements }: KindOf<"listExpr">): Node {
    const items = elements.map((element) => this.compile(element));
    let type: Type | undefined;
    for (const item of items) {
      const met = type === undefined ? item.type : join(type, item.type);
      if (type !== undefined && met.kind === "dyn" && type.kind !== "dyn" && item.type.kind !== "dyn")
        return this.wrong(expr, `the items of a list are of one type, not ${renderTypes(items)}`);
      type = met;
    }
    return listNode(items);
  }
}
