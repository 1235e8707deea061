/** Lists of policy values. */
import { list as listShape } from "../snapshot/shapes.js";
import { compareNames } from "./compare-names.js";
import { PolicyFault, within } from "./fault.js";
import type { Type } from "./type.js";

interface ListOptions<Value> {
  /** The remedy in the message that refuses an empty list in a file; "" if the list may be empty. */
  readonly whenEmpty: string;
  /** True if an empty list is also refused in the canonical form. */
  readonly neverEmpty?: boolean;
  /**
   * Sorts the list by this key and refuses two items with the same key. If it is left out, the written order is kept.
   */
  sortBy?(item: Value): string;
  /** Returns what is wrong with the whole list, or undefined. */
  why?(items: readonly Value[]): string | undefined;
}

/** A list; in the bytes a repeated field. */
export function list<Value>(of: Type<Value>, options: ListOptions<Value>): Type<readonly Value[]> {
  const { sortBy, why, whenEmpty, neverEmpty = false } = options;
  return {
    shape: listShape(of.shape, {
      whenEmpty,
      ...(sortBy === undefined ? {} : { keyOf: sortBy }),
      ...(why === undefined ? {} : { why }),
    }),
    canonical(items) {
      const reason = neverEmpty && items.length === 0 ? "the list is empty" : why?.(items);
      if (reason !== undefined) throw new PolicyFault(reason);
      const made = items.map((item, index) => within(`[${index}]`, () => of.canonical(item)));
      return Object.freeze(sortBy === undefined ? made : sortOnce(made, sortBy));
    },
    render: (items) => (items.length === 0 ? undefined : items.map((item) => of.render(item))),
    wire: {
      wireType: 2, // policy has no lists of numbers, so no field is packed
      absent: () => [],
      write(writer, number, items) {
        for (const item of items) {
          if (of.wire.writeItem === undefined) of.wire.write(writer, number, item);
          else of.wire.writeItem(writer, number, item);
        }
      },
      read(reader, before) {
        (before as Value[]).push(of.wire.read(reader, of.wire.absent()));
        return before;
      },
    },
  };
}

/** A set of texts: sorted, and each text once. */
export function textSet<Text extends string>(
  of: Type<Text>,
  options: Omit<ListOptions<Text>, "sortBy">,
): Type<readonly Text[]> {
  return list(of, { ...options, sortBy: (text) => text });
}

/** Sorts in place. Fails with a `PolicyFault` if two items have the same key. */
export function sortOnce<Value>(items: Value[], keyOf: (item: Value) => string): Value[] {
  items.sort((a, b) => compareNames(keyOf(a), keyOf(b)));
  for (let index = 1; index < items.length; index++) {
    const key = keyOf(items[index] as Value);
    if (key === keyOf(items[index - 1] as Value))
      throw new PolicyFault(`${JSON.stringify(key.slice(0, 64))} is there twice`);
  }
  return items;
}
