/** The values of CEL that occur in policy, their types, and their equality. */

/** A point in time, in nanoseconds since 1970-01-01T00:00:00Z. */
export class Timestamp {
  readonly nanos: bigint;
  constructor(nanos: bigint) {
    this.nanos = nanos;
  }
}

/** A length of time, in nanoseconds. */
export class Duration {
  readonly nanos: bigint;
  constructor(nanos: bigint) {
    this.nanos = nanos;
  }
}

export interface ValueList extends ReadonlyArray<Value> {}
export interface ValueMap extends ReadonlyMap<string, Value> {}

/** CEL's int is a bigint here, its double a number. Maps have texts as keys. */
export type Value = boolean | bigint | number | string | null | Timestamp | Duration | ValueList | ValueMap;

/**
 * Why an expression has no value. CEL calls it an error; it is a value here, because throwing costs too much a call.
 */
export class Failure {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

export type Outcome = Value | Failure;

/** The TypeScript type of the values of each kind. */
export interface ValueByKind {
  bool: boolean;
  int: bigint;
  double: number;
  string: string;
  null: null;
  timestamp: Timestamp;
  duration: Duration;
  list: ValueList;
  map: ValueMap;
}

export type Kind = keyof ValueByKind;

/** A static type. "dyn": the type is only known when the expression is evaluated. */
export type Type =
  | { readonly kind: Exclude<Kind, "list" | "map"> | "dyn" }
  | { readonly kind: "list" | "map"; readonly of: Type };

export const types = {
  bool: { kind: "bool" },
  int: { kind: "int" },
  double: { kind: "double" },
  string: { kind: "string" },
  null: { kind: "null" },
  timestamp: { kind: "timestamp" },
  duration: { kind: "duration" },
  dyn: { kind: "dyn" },
} as const satisfies Record<string, Type>;

export function listOf(element: Type): Type {
  return { kind: "list", of: element };
}

/** Returns the type of maps from texts to values of this type. */
export function mapOf(value: Type): Type {
  return { kind: "map", of: value };
}

/** Renders a type as CEL writes it. */
export function renderType(type: Type): string {
  if (!("of" in type)) return type.kind === "null" ? "null_type" : type.kind;
  return type.kind === "list" ? `list(${renderType(type.of)})` : `map(string, ${renderType(type.of)})`;
}

/** Returns whether a value of one type may be one of the other. */
export function agree(a: Type, b: Type): boolean {
  if (a.kind === "dyn" || b.kind === "dyn") return true;
  if (a.kind !== b.kind) return false;
  return !("of" in a) || !("of" in b) || agree(a.of, b.of);
}

/** Returns the common type of two types that agree, or "dyn" if they do not agree. */
export function join(a: Type, b: Type): Type {
  if (!agree(a, b) || a.kind === "dyn" || b.kind === "dyn") return types.dyn;
  return "of" in a && "of" in b ? { kind: a.kind, of: join(a.of, b.of) } : a;
}

export function kindOf(value: Value): Kind {
  switch (typeof value) {
    case "boolean":
      return "bool";
    case "bigint":
      return "int";
    case "number":
      return "double";
    case "string":
      return "string";
    default:
      if (value === null) return "null";
      if (value instanceof Timestamp) return "timestamp";
      if (value instanceof Duration) return "duration";
      return Array.isArray(value) ? "list" : "map";
  }
}

/**
 * The budget of a comparison. `spend` returns false if it is exhausted; the result of the comparison is then
 * meaningless.
 */
export interface Budget {
  spend(steps: number): boolean;
}

/**
 * CEL's equality: numbers are compared by value, lists and maps by content, and values of other kinds only within their
 * kind.
 */
export function areEqual(a: Value, b: Value, budget: Budget): boolean {
  if (a === b) return true;
  if (typeof a !== typeof b) {
    const numbers =
      (typeof a === "bigint" && typeof b === "number") || (typeof a === "number" && typeof b === "bigint");
    // biome-ignore lint/suspicious/noDoubleEquals: exact between a bigint and a number, unlike a conversion
    return numbers && a == b;
  }
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Timestamp) return b instanceof Timestamp && a.nanos === b.nanos;
  if (a instanceof Duration) return b instanceof Duration && a.nanos === b.nanos;
  if (isList(a)) {
    if (!isList(b) || a.length !== b.length || !budget.spend(a.length)) return false;
    return a.every((item, index) => areEqual(item, b[index] ?? null, budget));
  }
  if (!isMap(a) || !isMap(b) || a.size !== b.size || !budget.spend(a.size)) return false;
  for (const [key, value] of a) {
    const other = b.get(key);
    if (other === undefined || !areEqual(value, other, budget)) return false;
  }
  return true;
}

export function isList(value: Value): value is ValueList {
  return Array.isArray(value);
}

export function isMap(value: Value): value is ValueMap {
  return value instanceof Map;
}

/** Orders texts by code point, as CEL does; JavaScript's own order is by UTF-16 code unit. */
export function compareTexts(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const [left, right] = [a.charCodeAt(index), b.charCodeAt(index)];
    if (left === right) continue;
    const astral = (left >= 0xd800 && left < 0xe000 ? 1 : 0) - (right >= 0xd800 && right < 0xe000 ? 1 : 0);
    return astral === 0 ? left - right : astral;
  }
  return a.length - b.length;
}
