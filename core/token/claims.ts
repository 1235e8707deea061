/** Claims of tokens as conditions see them. */
import type { Value, ValueMap } from "../policy/condition/values.js";

/** How deep objects and lists may stand in each other. */
const claimsDepthMax = 8;
/** Values in all, those in lists and objects counted. */
const claimValuesMax = 1000;

/**
 * JSON as values of conditions: numbers without a fraction up to 2^53 are ints, others doubles; objects are maps.
 * undefined: it is too deep or has too much in it.
 */
export function claimsOf(json: Readonly<Record<string, unknown>>): ValueMap | undefined {
  const left = { values: claimValuesMax };
  const value = toValue(json, claimsDepthMax, left);
  return value instanceof Map ? (value as ValueMap) : undefined;
}

function toValue(json: unknown, depth: number, left: { values: number }): Value | undefined {
  left.values -= 1;
  if (depth < 0 || left.values < 0) return undefined;
  switch (typeof json) {
    case "boolean":
    case "string":
      return json;
    case "number":
      return Number.isSafeInteger(json) ? BigInt(json) : json;
    case "object":
      break;
    default:
      return undefined;
  }
  if (json === null) return null;
  if (Array.isArray(json)) {
    const list: Value[] = [];
    for (const item of json) {
      const value = toValue(item, depth - 1, left);
      if (value === undefined) return undefined;
      list.push(value);
    }
    return list;
  }
  const map = new Map<string, Value>();
  for (const [name, item] of Object.entries(json)) {
    const value = toValue(item, depth - 1, left);
    if (value === undefined) return undefined;
    map.set(name, value);
  }
  return map;
}
