/** The macros all, exists, exists_one, filter and map. Each element that they visit costs a step of the evaluation. */
import { type Frame, tooMuchWork } from "./frame.js";
import type { Node } from "./node.js";
import { Failure, isList, isMap, listOf, type Outcome, type Type, types, type Value } from "./values.js";

const noRange = new Failure("it is neither a list nor a map, so nothing can be gone through");
const notTrueOrFalse = new Failure("what the macro asks is neither true nor false");

/** Returns the type of the elements that a macro visits, or undefined if the value has no elements. */
export function itemType(range: Type): Type | undefined {
  if (range.kind === "dyn") return types.dyn;
  if (!("of" in range)) return undefined;
  return range.kind === "list" ? range.of : types.string;
}

export interface MacroParts {
  readonly range: Node;
  /** The index of the macro's variable in the frame. */
  readonly slot: number;
  /** The predicate for each element; undefined for map without a filter. */
  readonly test: Node | undefined;
  /** The value that map computes for each element. */
  readonly transform: Node | undefined;
}

/** Returns the node of a macro, or undefined if no macro has this name. */
export function macroNode(name: string, parts: MacroParts): Node | undefined {
  const { test, transform } = parts;
  switch (name) {
    case "all":
    case "exists":
      return test && { type: types.bool, evaluate: (frame) => quantify(frame, parts, test, name === "exists") };
    case "exists_one":
      return test && { type: types.bool, evaluate: (frame) => countOne(frame, parts, test) };
    case "filter":
    case "map": {
      const element = transform?.type ?? itemType(parts.range.type) ?? types.dyn;
      return { type: listOf(element), evaluate: (frame) => collect(frame, parts) };
    }
    default:
      return undefined;
  }
}

function itemsOf(frame: Frame, { range }: MacroParts): readonly Value[] | Failure {
  const value = range.evaluate(frame);
  if (value instanceof Failure) return value;
  if (isList(value)) return value;
  if (!isMap(value)) return noRange;
  return frame.spend(value.size) ? [...value.keys()] : tooMuchWork;
}

/** Evaluates `all` or `exists`: one deciding element is enough, even if the evaluation of others fails. */
function quantify(frame: Frame, parts: MacroParts, test: Node, decisive: boolean): Outcome {
  const items = itemsOf(frame, parts);
  if (items instanceof Failure) return items;
  let failed: Failure | undefined;
  for (const item of items) {
    if (!frame.spend(1)) return tooMuchWork;
    frame.slots[parts.slot] = item;
    const found = test.evaluate(frame);
    if (found === decisive) return decisive;
    if (found !== !decisive) failed ??= found instanceof Failure ? found : notTrueOrFalse;
  }
  return failed ?? !decisive;
}

function countOne(frame: Frame, parts: MacroParts, test: Node): Outcome {
  const items = itemsOf(frame, parts);
  if (items instanceof Failure) return items;
  let count = 0;
  for (const item of items) {
    if (!frame.spend(1)) return tooMuchWork;
    frame.slots[parts.slot] = item;
    const found = test.evaluate(frame);
    if (typeof found !== "boolean") return found instanceof Failure ? found : notTrueOrFalse;
    if (found) count += 1;
  }
  return count === 1;
}

function collect(frame: Frame, parts: MacroParts): Outcome {
  const { slot, test, transform } = parts;
  const items = itemsOf(frame, parts);
  if (items instanceof Failure) return items;
  const collected: Value[] = [];
  for (const item of items) {
    if (!frame.spend(1)) return tooMuchWork;
    frame.slots[slot] = item;
    const kept = test === undefined ? true : test.evaluate(frame);
    if (typeof kept !== "boolean") return kept instanceof Failure ? kept : notTrueOrFalse;
    if (!kept) continue;
    const made = transform === undefined ? item : transform.evaluate(frame);
    if (made instanceof Failure) return made;
    collected.push(made);
  }
  return collected;
}
