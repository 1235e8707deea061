/** Access to fields of maps and to elements of lists. */
import type { Node } from "./node.js";
import { Failure, isList, isMap, type Outcome, type Type, types, type Value } from "./values.js";

const noKey = new Failure("there is no such key");
const noElement = new Failure("there is no such element");
const noField = new Failure("it is no map and has no fields");
const noIndex = new Failure("neither a list and a whole number, nor a map and a text");

/** Returns the type of a map's values, or undefined if the type is no map. */
export function fieldType(of: Type): Type | undefined {
  if (of.kind === "dyn") return types.dyn;
  return of.kind === "map" && "of" in of ? of.of : undefined;
}

export function fieldNode(operand: Node, type: Type, field: string): Node {
  const missing = new Failure(`there is no key ${JSON.stringify(field)}`);
  return {
    type,
    evaluate(frame) {
      const value = operand.evaluate(frame);
      if (value instanceof Failure) return value;
      if (!isMap(value)) return noField;
      return value.get(field) ?? (value.has(field) ? null : missing);
    },
  };
}

/** Makes the node of has(operand.field). */
export function presenceNode(operand: Node, field: string): Node {
  return {
    type: types.bool,
    evaluate(frame) {
      const value = operand.evaluate(frame);
      if (value instanceof Failure) return value;
      return isMap(value) ? value.has(field) : noField;
    },
  };
}

/** Returns the type of operand[index], or undefined if the operand cannot be indexed so. */
export function elementTypeOf(operand: Type, index: Type): Type | undefined {
  if (operand.kind === "dyn") return types.dyn;
  const wanted = operand.kind === "map" ? ["string"] : operand.kind === "list" ? ["int", "double"] : [];
  return "of" in operand && [...wanted, "dyn"].includes(index.kind) ? operand.of : undefined;
}

export function elementNode(operand: Node, index: Node, type: Type): Node {
  return {
    type,
    evaluate(frame) {
      const value = operand.evaluate(frame);
      if (value instanceof Failure) return value;
      const key = index.evaluate(frame);
      return key instanceof Failure ? key : elementOf(value, key);
    },
  };
}

function elementOf(value: Value, key: Value): Outcome {
  if (isList(value) && (typeof key === "bigint" || typeof key === "number")) {
    const at = Number(key);
    const item = Number.isInteger(at) ? value[at] : undefined;
    return item === undefined ? noElement : item;
  }
  if (!isMap(value) || typeof key !== "string") return noIndex;
  const item = value.get(key);
  return item === undefined ? noKey : item;
}
