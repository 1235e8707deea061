import type { FieldBlock } from "./field-block.js";
import { nameStartsWith } from "./field-forms.js";

/**
 * Drops the fields whose names begin with one of `prefixes`, except those with an id in `kept`; returns
 * how many. For headers and trailers alike, before policy looks at them.
 */
export function dropReserved(fields: FieldBlock, prefixes: readonly string[], kept: readonly number[] = []): number {
  let dropped = 0;
  for (let field = 0; field < fields.count; field++) {
    if (fields.isDropped(field) || kept.includes(fields.nameId(field))) continue;
    for (let i = 0; i < prefixes.length; i++) {
      if (!nameStartsWith(fields, field, prefixes[i] as string)) continue;
      fields.drop(field);
      dropped++;
      break;
    }
  }
  return dropped;
}
