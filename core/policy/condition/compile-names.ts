/** Compiles names in an expression: variables, their fields, and headers. */
import { renderNearest } from "../../snapshot/nearest.js";
import { fieldNode, fieldType, presenceNode } from "./access.js";
import type { Compiling } from "./compiling.js";
import type { Node } from "./node.js";
import type { Expr } from "./parse-expression.js";
import { type Declaration, hasHeader, readHeader, whyNotReadable } from "./scope.js";
import { renderType, types } from "./values.js";

/** A node, or the declaration of a name of which only fields can be used. */
export type Named = { readonly node: Node } | { readonly declaration: Declaration; readonly name: string };

/** Returns the node of a name. `field`: the only field of it that the expression reads, if that is known. */
export function asNode(compiler: Compiling, expr: Expr, named: Named, field?: string): Node {
  if ("node" in named) return named.node;
  const { declaration, name } = named;
  if (declaration.kind === "group")
    return compiler.wrong(expr, `${name} is no value by itself; it has ${[...declaration.fields.keys()].join(", ")}`);
  if (declaration.kind === "headers")
    return compiler.wrong(expr, `name the header that is read, as in ${name}["x-region"]`);
  if (declaration.read !== undefined) compiler.reads.add(declaration.read);
  if (declaration.read === "jwt") compiler.reads.add(`claim:${field ?? "*"}`);
  return { type: declaration.type, evaluate: declaration.evaluate };
}

export function resolve(compiler: Compiling, expr: Expr): Named {
  const { exprKind } = expr;
  if (exprKind.case === "identExpr") return resolveName(compiler, expr, exprKind.value.name);
  if (exprKind.case !== "selectExpr" || exprKind.value.operand === undefined) return { node: compiler.compile(expr) };
  const { field, testOnly, operand } = exprKind.value;
  const of = resolve(compiler, operand);
  if ("node" in of) return { node: compileField(compiler, expr, of.node, field, testOnly) };
  const { declaration, name } = of;
  switch (declaration.kind) {
    case "headers":
      return { node: compileHeader(compiler, expr, field, testOnly) };
    case "value":
      return { node: compileField(compiler, expr, asNode(compiler, operand, of, field), field, testOnly) };
    case "group": {
      const found = declaration.fields.get(field);
      if (found !== undefined && !testOnly) return { declaration: found, name: `${name}.${field}` };
      if (found !== undefined) return { node: compiler.wrong(expr, `${name}.${field} is always there`) };
      const fields = [...declaration.fields.keys()];
      const nearest = renderNearest(field, fields);
      const message = `${name} has no field ${JSON.stringify(field)}; it has ${fields.join(", ")}${nearest}`;
      return { node: compiler.wrong(expr, message) };
    }
  }
}

function resolveName(compiler: Compiling, expr: Expr, written: string): Named {
  const name = written.startsWith(".") ? written.slice(1) : written;
  const local = compiler.locals.findLast((each) => each.name === written);
  if (local !== undefined) {
    const { type, slot } = local;
    return { node: { type, evaluate: ({ slots }) => slots[slot] ?? null } };
  }
  const declaration = compiler.scope.get(name);
  if (declaration !== undefined) return { declaration, name };
  const nearest = renderNearest(name, compiler.scope.keys());
  const known = [...compiler.scope.keys()].join(", ");
  const message = `there is no variable ${JSON.stringify(name)}; there are ${known}${nearest}`;
  return { node: compiler.wrong(expr, message) };
}

function compileField(compiler: Compiling, expr: Expr, operand: Node, field: string, testOnly: boolean): Node {
  const type = fieldType(operand.type);
  if (type === undefined)
    return compiler.wrong(expr, `a value of type ${renderType(operand.type)} has no field ${JSON.stringify(field)}`);
  return testOnly ? presenceNode(operand, field) : fieldNode(operand, type, field);
}

export function compileHeader(compiler: Compiling, expr: Expr, name: string, testOnly: boolean): Node {
  const why = whyNotReadable(name);
  if (why !== undefined) return compiler.wrong(expr, `header ${JSON.stringify(name)} cannot be read: ${why}`);
  compiler.reads.add(`header:${name}`);
  return testOnly
    ? { type: types.bool, evaluate: hasHeader(name) }
    : { type: types.string, evaluate: readHeader(name) };
}
