import type { FieldBlock } from "../../http2/field-block.js";
import type { PreparedField } from "../../http2/prepared-field.js";
import { idOfName, isSpelt } from "./name-ids.js";

/** What a route changes in header fields. It is created once per route, and its calls share it. */
export class FieldChanges {
  /** The ids of the dropped names that have one. */
  readonly #droppedIds: ReadonlySet<number>;
  /** The dropped names without an id. */
  readonly #droppedNames: readonly string[];
  /** The fields that are sent after the others. */
  readonly added: readonly PreparedField[];

  /** `dropped`: names in lower case, no pseudo-headers. Fields with these names are removed before others are added. */
  constructor(dropped: Iterable<string>, added: readonly PreparedField[]) {
    const names = [...new Set(dropped)];
    this.#droppedIds = new Set(names.map(idOfName).filter((id) => id > 0));
    this.#droppedNames = names.filter((name) => idOfName(name) === 0);
    this.added = added;
  }

  /** Drops the fields from a block that the route removes. */
  drop(fields: FieldBlock): void {
    if (this.#droppedIds.size === 0 && this.#droppedNames.length === 0) return;
    for (let field = 0; field < fields.count; field++)
      if (!fields.isDropped(field) && this.#drops(fields, field)) fields.drop(field);
  }

  #drops(fields: FieldBlock, field: number): boolean {
    const id = fields.nameId(field);
    if (id > 0) return this.#droppedIds.has(id);
    for (const name of this.#droppedNames) if (isSpelt(fields, field, name)) return true;
    return false;
  }
}
