/**
 * Shapes of policy files. The parser and the editors' schema come from one description, so they cannot disagree.
 * Reading never throws: a problem becomes a finding, and reading continues.
 */
import type { Node, Pair, YAMLMap } from "yaml";
import { renderNearest } from "./nearest.js";
import type { Reading } from "./reading.js";
import { isMap, isScalar, isSeq } from "./yaml-nodes.js";

export type JsonSchema = Readonly<Record<string, unknown>>;

/** How files write one value. */
export interface Shape<Value> {
  /** Completes "expected …" in messages. */
  readonly expected: string;
  readonly schema: JsonSchema;
  /** The fields of a record, for its reference page. */
  readonly fields?: Readonly<Record<string, Field<unknown>>>;
  /** The shape of the items of a list, for its reference page. */
  readonly item?: Shape<unknown>;
  /** Reads the value. Returns undefined if it cannot be used; the reason was reported. */
  read(node: Node | null, field: string, reading: Reading): Value | undefined;
}

/** A field of a record. */
export interface Field<Value> {
  readonly shape: Shape<Value>;
  readonly required: boolean;
  /** The value that replaces one that is missing or wrong. */
  readonly missing: Value;
  readonly about: string;
}

type Fields<Value> = { readonly [Name in keyof Value]: Field<Value[Name]> };

export function required<Value>(shape: Shape<Value>, missing: Value, about: string): Field<Value> {
  return { shape, required: true, missing, about };
}

export function optional<Value>(shape: Shape<Value>, missing: Value, about: string): Field<Value> {
  return { shape, required: false, missing, about };
}

/** The shape of a text that `why` accepts. `why` returns the reason of a refusal, or "" if `expected` says enough. */
export function text(expected: string, pattern: string, why: (text: string) => string | undefined): Shape<string> {
  return {
    expected,
    schema: { type: "string", pattern, description: expected },
    read(node, field, reading) {
      const found = reading.follow(node, field);
      if (found === undefined) return undefined;
      const place = reading.place(found ?? node, field);
      if (!isScalar(found) || typeof found.value !== "string")
        return reading.report(place, `expected ${expected}, found ${describe(found)}${quoteHint(found, why)}`);
      const reason = why(found.value);
      if (reason === undefined) {
        reading.places.set(field, place);
        return found.value;
      }
      const detail = reason === "" ? "" : `: ${reason}`;
      return reading.report(place, `expected ${expected}, found ${describe(found)}${detail}`);
    },
  };
}

/** The shape of a whole number. */
export function wholeNumber(min: number, max: number): Shape<number> {
  const expected = `a whole number from ${min} to ${max}`;
  return {
    expected,
    schema: { type: "integer", minimum: min, maximum: max },
    read(node, field, reading) {
      const found = reading.follow(node, field);
      if (found === undefined) return undefined;
      const value = isScalar(found) ? found.value : undefined;
      if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
      return reading.report(reading.place(found ?? node, field), `expected ${expected}, found ${describe(found)}`);
    },
  };
}

/** The shape of a text that `parse` converts to another value. */
export function converted<Value>(shape: Shape<string>, parse: (text: string) => Value): Shape<Value> {
  return {
    ...shape,
    read(node, field, reading) {
      const value = shape.read(node, field, reading);
      return value === undefined ? undefined : parse(value);
    },
  };
}

interface ListOptions<Value> {
  /** The remedy in the message that refuses an empty list; "": an empty list is allowed. */
  readonly whenEmpty: string;
  /** Returns the key that only one item may have. */
  keyOf?(item: Value): string;
  /** Returns what is wrong with the whole list, or undefined. */
  why?(items: readonly Value[]): string | undefined;
}

/** The shape of a list. Items that cannot be used are left out. */
export function list<Value>(of: Shape<Value>, options: ListOptions<Value>): Shape<readonly Value[]> {
  const { whenEmpty, keyOf, why } = options;
  const expected = `a list, each item ${of.expected}`;
  return {
    expected,
    item: of,
    schema: {
      type: "array",
      items: of.schema,
      ...(whenEmpty === "" ? {} : { minItems: 1 }),
      uniqueItems: keyOf !== undefined,
    },
    read(node, field, reading) {
      const found = reading.follow(node, field);
      if (found === undefined) return undefined;
      const place = reading.place(found ?? node, field);
      if (!isSeq(found)) {
        const hint = isScalar(found) && found.value !== null ? `; write it as [${describe(found)}]` : "";
        return reading.report(place, `expected ${expected}, found ${describe(found)}${hint}`);
      }
      if (whenEmpty !== "" && found.items.length === 0) return reading.report(place, `the list is empty; ${whenEmpty}`);
      const items: Value[] = [];
      const seen = new Set<string>();
      for (const [index, item] of found.items.entries()) {
        const itemField = `${field}[${index}]`;
        const value = of.read(item as Node | null, itemField, reading);
        if (value === undefined) continue;
        const key = keyOf?.(value);
        if (key !== undefined && key !== "") {
          const itemPlace = reading.place(item as Node | null, itemField);
          if (seen.has(key)) reading.report(itemPlace, `${JSON.stringify(key)} is in the list twice`);
          seen.add(key);
          reading.places.set(`${field}=${key}`, itemPlace);
        }
        items.push(value);
      }
      const reason = items.length === found.items.length ? why?.(items) : undefined;
      return reason === undefined ? items : reading.report(place, reason);
    },
  };
}

interface EntriesOptions {
  /** Completes "expected …" in messages. */
  readonly expected: string;
  /** The words for a name that `why` refuses: what it is ("header"), and what it cannot ("cannot be matched"). */
  readonly noun: string;
  readonly cannot: string;
  /** A regular expression for editors; `why` decides. */
  readonly pattern: string;
  why(name: string): string | undefined;
}

/** The shape of a map with free names, such as headers. */
export function entries<Value>(of: Shape<Value>, { expected, noun, cannot, pattern, why }: EntriesOptions) {
  const shape: Shape<readonly (readonly [string, Value])[]> = {
    expected,
    schema: { type: "object", propertyNames: { pattern }, additionalProperties: of.schema },
    read(node, field, reading) {
      const map = readMap(node, field, reading, expected);
      if (map === undefined) return undefined;
      const found: (readonly [string, Value])[] = [];
      for (const { name, pair } of pairsOf(map, field, reading)) {
        const reason = why(name);
        if (reason !== undefined) {
          reading.report(reading.place(pair.key, field), `${noun} ${quote(name)} ${cannot}: ${reason}`);
          continue;
        }
        const value = of.read(pair.value, `${field}.${name}`, reading);
        if (value !== undefined) found.push([name, value]);
      }
      return found;
    },
  };
  return shape;
}

/**
 * The shape of a map with known fields. Unknown fields are refused, and those of `later` are refused as not supported
 * yet. A wrong field gets its `missing` value, so that references to this record can still be checked.
 */
export function record<Value extends object>(
  what: string,
  fields: Fields<Value>,
  later: Readonly<Record<string, string>> = {},
): Shape<Value> {
  const names = Object.keys(fields) as (keyof Value & string)[];
  return {
    expected: what,
    fields: fields as unknown as Readonly<Record<string, Field<unknown>>>,
    schema: {
      type: "object",
      properties: Object.fromEntries(
        names.map((name) => [name, { ...fields[name].shape.schema, description: fields[name].about }]),
      ),
      required: names.filter((name) => fields[name].required),
      additionalProperties: false,
    },
    read(node, field, reading) {
      const map = readMap(node, field, reading, what);
      if (map === undefined) return undefined;
      reading.places.set(field, reading.place(map, field));
      const value: Partial<Value> = {};
      const given = new Set<string>();
      for (const { name, pair } of pairsOf(map, field, reading)) {
        const known = names.find((each) => each === name);
        const at = field === "" ? name : `${field}.${name}`;
        if (known === undefined) {
          reportUnknown(name, at, pair, { what, names, later }, reading);
          continue;
        }
        given.add(name);
        value[known] = fields[known].shape.read(pair.value, at, reading) ?? fields[known].missing;
        // the value is wrong, but the field is stated
        if (!reading.places.has(at)) reading.places.set(at, reading.place(pair.key, at));
      }
      for (const name of names) {
        if (given.has(name)) continue;
        value[name] = fields[name].missing;
        if (!fields[name].required) continue;
        const at = field === "" ? name : `${field}.${name}`;
        reading.report(reading.place(map, at), `"${name}" is missing: expected ${fields[name].shape.expected}`);
      }
      return value as Value; // every name was set in one of the two loops
    },
  };
}

/** Returns words for the kind of a value. */
export function describe(node: Node | null): string {
  if (isMap(node)) return "a map";
  if (isSeq(node)) return "a list";
  if (!isScalar(node) || node.value === null) return "nothing";
  if (typeof node.value === "string") return quote(node.value);
  return `${typeof node.value} ${String(node.value).slice(0, 64)}`;
}

export function quote(value: string): string {
  return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
}

/** Returns a hint to quote the value, if it would be valid as a text. */
function quoteHint(node: Node | null, why: (text: string) => string | undefined): string {
  if (!isScalar(node) || (typeof node.value !== "number" && typeof node.value !== "boolean")) return "";
  const source = node.source ?? String(node.value);
  return why(source) === undefined ? `; write it in quotes: "${source}"` : "";
}

interface Known {
  readonly what: string;
  readonly names: readonly string[];
  readonly later: Readonly<Record<string, string>>;
}

function reportUnknown(name: string, at: string, pair: TextPair, known: Known, reading: Reading): void {
  const place = reading.place(pair.key, at);
  const later = Object.hasOwn(known.later, name) ? known.later[name] : undefined;
  if (later !== undefined) reading.report(place, `"${name}" is not supported yet: ${later}`);
  else {
    const names = known.names.join(", ");
    reading.report(
      place,
      `unknown field ${quote(name)}: ${known.what} has ${names}${renderNearest(name, known.names)}`,
    );
  }
}

type TextPair = Pair<Node, Node | null>;

function readMap(node: Node | null, field: string, reading: Reading, expected: string): YAMLMap | undefined {
  const found = reading.follow(node, field);
  if (found === undefined || isMap(found)) return found;
  return reading.report(reading.place(found ?? node, field), `expected ${expected}, found ${describe(found)}`);
}

/** Returns the pairs of a map. Keys that are no text or are repeated are reported and left out. */
export function pairsOf(map: YAMLMap, field: string, reading: Reading): { name: string; pair: TextPair }[] {
  const found = new Map<string, TextPair>();
  for (const item of map.items) {
    const pair = item as TextPair; // the composer makes no other nodes
    const key = isScalar(pair.key) ? pair.key.value : undefined;
    const place = reading.place(pair.key, field);
    if (typeof key !== "string") reading.report(place, `expected the name of a field, found ${describe(pair.key)}`);
    else if (found.has(key)) {
      const first = reading.place(found.get(key)?.key, field);
      reading.report(place, `"${key.slice(0, 64)}" is there twice; the first is at line ${first.line}`);
    } else found.set(key, pair);
  }
  return [...found].map(([name, pair]) => ({ name, pair }));
}
