/** Finds fields by names that policy states, without making strings of the names in a block. */
import type { FieldBlock } from "../../http2/field-block.js";
import { cell, cells } from "../../http2/field-cells.js";
import { findName } from "../../http2/field-names.js";

/** The ids of header names that were looked up. Policy names them, so there are few. */
const ids = new Map<string, number>();
const namesMax = 1000;

/** Returns the id of a name in lower case; 0 if it has none, so that blocks spell it out. */
export function idOfName(name: string): number {
  const known = ids.get(name);
  if (known !== undefined) return known;
  const bytes = Buffer.from(name, "latin1");
  const id = findName(bytes, 0, bytes.length);
  if (ids.size >= namesMax) ids.clear();
  ids.set(name, id);
  return id;
}

/** Whether a field, whose name has no id, has exactly this name. */
export function isSpelt(fields: FieldBlock, field: number, name: string): boolean {
  const { rows, bytes } = fields;
  const row = field * cells;
  if (rows[row + cell.nameLength] !== name.length) return false;
  const start = rows[row + cell.nameStart] as number;
  for (let i = 0; i < name.length; i++) if (bytes[start + i] !== name.charCodeAt(i)) return false;
  return true;
}

/** Whether a field has this name. */
export function isNamed(fields: FieldBlock, field: number, name: string): boolean {
  const id = idOfName(name);
  return fields.nameId(field) === id && (id > 0 || isSpelt(fields, field, name));
}
