/** One overload of a function: the types of its arguments, the type of its result, and its implementation. */
import type { Frame } from "./frame.js";
import { agree, type Kind, kindOf, type Outcome, type Type, type Value, type ValueByKind } from "./values.js";

/** "any" accepts every kind. */
export type ParameterKind = Kind | "any";
type Parameter<Of extends ParameterKind> = Of extends Kind ? ValueByKind[Of] : Value;
type Call = (a: Value, b: Value, frame: Frame) => Outcome;

export interface Overload {
  readonly parameters: readonly ParameterKind[];
  /** Returns the result type for arguments of these types, or undefined if the types do not fit. */
  result(argumentTypes: readonly Type[]): Type | undefined;
  /** Computes the result. `b` is ignored if there is one parameter. */
  readonly call: Call;
}

type Result = Type | ((argumentTypes: readonly Type[]) => Type | undefined);

const resultOf = (result: Result): Overload["result"] => (typeof result === "function" ? result : () => result);

export function unary<A extends ParameterKind>(
  a: A,
  result: Result,
  call: (a: Parameter<A>, frame: Frame) => Outcome,
): Overload {
  const typed = call as (a: Value, frame: Frame) => Outcome; // it is only called with values of its kind
  return { parameters: [a], result: resultOf(result), call: (value, _, frame) => typed(value, frame) };
}

export function binary<A extends ParameterKind, B extends ParameterKind>(
  a: A,
  b: B,
  result: Result,
  call: (a: Parameter<A>, b: Parameter<B>, frame: Frame) => Outcome,
): Overload {
  return { parameters: [a, b], result: resultOf(result), call: call as Call };
}

/** Returns whether arguments of these types may fit; with "dyn" among them only the evaluation shows. */
export function mayTake(overload: Overload, argumentTypes: readonly Type[]): boolean {
  const { parameters } = overload;
  return (
    parameters.length === argumentTypes.length &&
    parameters.every((kind, index) => {
      const given = argumentTypes[index]?.kind;
      return kind === "any" || given === "dyn" || given === kind;
    })
  );
}

/** Returns whether the overload takes these values. */
export function takes(overload: Overload, a: Value, b: Value): boolean {
  const [first = "any", second = "any"] = overload.parameters;
  return (first === "any" || kindOf(a) === first) && (second === "any" || kindOf(b) === second);
}

/** An overload whose two arguments must have the same type. */
export function whereAgreeing(result: Type): Overload["result"] {
  return ([a, b]) => (a !== undefined && b !== undefined && agree(a, b) ? result : undefined);
}
