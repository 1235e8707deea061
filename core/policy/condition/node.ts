/** Typed nodes of a condition, ready to be evaluated, and how overloads of functions become nodes. */
import type { Frame } from "./frame.js";
import { mayTake, type Overload, takes } from "./overload.js";
import { Failure, join, type Outcome, renderType, type Type, types, type Value } from "./values.js";

export interface Node {
  readonly type: Type;
  /** The text, if the node is a text literal. */
  readonly literal?: string | undefined;
  evaluate(frame: Frame): Outcome;
}

const notTrueOrFalse = new Failure("it is neither true nor false");
const noOverload = new Failure("no function takes values of these kinds");

/** A placeholder for an expression with a reported problem, so that the rest is still checked. */
export const wrongNode: Node = { type: types.dyn, evaluate: () => noOverload };

export function constantNode(type: Type, value: Value): Node {
  return { type, literal: typeof value === "string" ? value : undefined, evaluate: () => value };
}

/** Returns the node of a function call, or undefined if no overload takes arguments of these types. */
export function callNode(overloads: readonly Overload[], argumentNodes: readonly Node[]): Node | undefined {
  const given = argumentNodes.map((each) => each.type);
  const fitting = overloads.filter((each) => mayTake(each, given) && each.result(given) !== undefined);
  const [first] = fitting;
  const [a, b] = argumentNodes;
  if (first === undefined || a === undefined) return undefined;
  const results = fitting.map((each) => each.result(given) ?? types.dyn);
  const type = results.reduce(join);
  const known =
    fitting.length === 1 && first.parameters.every((kind, at) => kind === "any" || given[at]?.kind === kind);
  return { type, evaluate: known ? evaluateKnown(first, a, b) : evaluateByKinds(fitting, a, b) };
}

function evaluateKnown({ call }: Overload, a: Node, b: Node | undefined): Node["evaluate"] {
  if (b === undefined) {
    return (frame) => {
      const value = a.evaluate(frame);
      return value instanceof Failure ? value : call(value, value, frame);
    };
  }
  return (frame) => {
    const left = a.evaluate(frame);
    if (left instanceof Failure) return left;
    const right = b.evaluate(frame);
    return right instanceof Failure ? right : call(left, right, frame);
  };
}

function evaluateByKinds(overloads: readonly Overload[], a: Node, b: Node | undefined): Node["evaluate"] {
  return (frame) => {
    const left = a.evaluate(frame);
    if (left instanceof Failure) return left;
    const right = b === undefined ? left : b.evaluate(frame);
    if (right instanceof Failure) return right;
    for (const each of overloads) if (takes(each, left, right)) return each.call(left, right, frame);
    return noOverload;
  };
}

/** Makes the node of && or ||: one deciding side is enough, even if the evaluation of the other fails. */
export function logicNode(decisive: boolean, a: Node, b: Node): Node {
  return {
    type: types.bool,
    evaluate(frame) {
      const left = a.evaluate(frame);
      if (left === decisive) return left;
      const right = b.evaluate(frame);
      if (right === decisive) return right;
      if (left === !decisive && right === !decisive) return !decisive;
      return left instanceof Failure ? left : right instanceof Failure ? right : notTrueOrFalse;
    },
  };
}

export function choiceNode(condition: Node, yes: Node, no: Node): Node {
  return {
    type: join(yes.type, no.type),
    evaluate(frame) {
      const chosen = condition.evaluate(frame);
      if (chosen === true) return yes.evaluate(frame);
      if (chosen === false) return no.evaluate(frame);
      return chosen instanceof Failure ? chosen : notTrueOrFalse;
    },
  };
}

export function listNode(items: readonly Node[]): Node {
  const [first] = items;
  const element = first === undefined ? types.dyn : items.map((each) => each.type).reduce(join);
  return {
    type: { kind: "list", of: element },
    evaluate(frame) {
      const values: Value[] = [];
      for (const item of items) {
        const value = item.evaluate(frame);
        if (value instanceof Failure) return value;
        values.push(value);
      }
      return values;
    },
  };
}

/** Renders the types of arguments: "(int, string)". */
export function renderTypes(nodes: readonly Node[]): string {
  return `(${nodes.map(({ type }) => renderType(type)).join(", ")})`;
}
