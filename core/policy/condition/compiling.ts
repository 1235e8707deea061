/** The interface of the compiler of conditions that its parts use. */
import type { Node } from "./node.js";
import type { Expr, ParsedExpression } from "./parse-expression.js";
import type { ConditionRead, Scope } from "./scope.js";
import type { Type } from "./values.js";

/** A variable that a macro declares. */
export interface Local {
  readonly name: string;
  readonly type: Type;
  readonly slot: number;
}

export interface Compiling {
  /** What the condition reads of a call. */
  readonly reads: Set<ConditionRead>;
  readonly parsed: ParsedExpression;
  readonly scope: Scope;
  readonly locals: Local[];
  /** Returns the node of `expr`. Problems in it are reported, and the rest is checked all the same. */
  compile(expr: Expr): Node;
  /** Reports a node whose value may be neither true nor false. */
  expectBool(node: Node, expr: Expr, what: string): Node;
  /** Reports a problem with `expr`, and returns a placeholder node. */
  wrong(expr: Expr, message: string): Node;
}
