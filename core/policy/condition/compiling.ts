/** What the parts of the compiler of conditions see of the whole. */
import type { Node } from "./node.js";
import type { Expr, ParsedExpression } from "./parse-expression.js";
import type { ConditionRead, Scope } from "./scope.js";
import type { Type } from "./values.js";

/** A variable of a macro. */
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
  /** Returns the node of `expr`; what is wrong in it is reported, and the rest is checked all the same. */
  compile(expr: Expr): Node;
  /** Reports a node that can be anything but true or false. */
  expectBool(node: Node, expr: Expr, what: string): Node;
  /** Reports what is wrong with `expr`, and returns a node that stands for it. */
  wrong(expr: Expr, message: string): Node;
}
