import type { FieldBlock } from "../../http2/field-block.js";
import type { PreparedField } from "../../http2/prepared-field.js";
import { dropAll } from "../reserved-fields.js";
import { KnownBlock } from "./known-block.js";
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
    const { profile } = fields;
    let from = 0;
    if (profile !== null && profile.memo instanceof KnownBlock) {
      from = profile.count;
      dropAll(fields, this.#maskOf(fields, from, profile.memo));
    }
    for (let field = from; field < fields.count; field++)
      if (!fields.isDropped(field) && this.#drops(fields, field)) fields.drop(field);
  }

  /** Returns a mask of those of the profile's fields that are dropped, which depends on their names alone. */
  #maskOf(fields: FieldBlock, count: number, known: KnownBlock): number {
    if (known.changes === this) return known.changed;
    let mask = 0;
    for (let field = 0; field < count; field++) if (this.#drops(fields, field)) mask |= 1 << field;
    known.changes = this;
    known.changed = mask;
    return mask;
  }

  #drops(fields: FieldBlock, field: number): boolean {
    const id = fields.nameId(field);
    if (id > 0) return this.#droppedIds.has(id);
    for (const name of this.#droppedNames) if (isSpelt(fields, field, name)) return true;
    return false;
  }
}
