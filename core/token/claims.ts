/** Claims of tokens as conditions see them. */
import type { Value, ValueMap } from "../policy/condition/values.js";

/** The deepest nesting of objects and lists in claims. */
const claimsDepthMax = 8;
/** The most values in all claims, including those in lists and objects. */
const claimValuesMax = 1000;

/**
 * Converts JSON to values of conditions. Numbers without a fraction up to 2^53 become ints, others doubles; objects
 * become maps. Returns undefined if the JSON is nested too deeply or has too many values.
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
