import type { FieldBlock } from "../../http2/field-block.js";
import type { PreparedField } from "../../http2/prepared-field.js";

/** What a route changes in header fields. It is created once per route, and its calls share it. */
export class FieldChanges {
  readonly #dropped: ReadonlySet<string>;
  /** The fields that are sent after the others. */
  readonly added: readonly PreparedField[];

  /** `dropped`: names in lower case, no pseudo-headers. Fields with these names are removed before others are added. */
  constructor(dropped: Iterable<string>, added: readonly PreparedField[]) {
    this.#dropped = new Set(dropped);
    this.added = added;
  }

  /** Drops the fields from a block that the route removes. */
  drop(fields: FieldBlock): void {
    if (this.#dropped.size === 0) return;
    for (let field = 0; field < fields.count; field++)
      if (!fields.isDropped(field) && this.#dropped.has(fields.nameText(field))) fields.drop(field);
  }
}
