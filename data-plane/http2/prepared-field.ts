import { hashOf } from "./field-classes.js";
import { findName, nameBytes } from "./field-names.js";
import { findStatic } from "./static-table.js";

/** A field that is sent often and known beforehand. It remembers its entry in the table of one encoder. */
export class PreparedField {
  readonly nameId: number;
  readonly name: Uint8Array;
  readonly value: Uint8Array;
  readonly hash: number;
  readonly staticIndex: number;
  readonly size: number;
  /** The encoder whose table has the field (only its identity matters), and the entry number there. */
  linkOwner: object | null = null;
  linkEntry = 0;

  constructor(name: string, value: string) {
    const bytes = new Uint8Array(Buffer.from(name, "latin1"));
    this.nameId = findName(bytes, 0, bytes.length);
    this.name = this.nameId === 0 ? bytes : nameBytes(this.nameId);
    this.value = new Uint8Array(Buffer.from(value, "latin1"));
    this.staticIndex = findStatic(this.nameId, this.value, 0, this.value.length);
    this.hash = fieldHash(this.nameId, this.name, 0, this.name.length, this.value, 0, this.value.length);
    this.size = this.name.length + this.value.length + 32;
  }
}

/** Returns the hash of name and value by which tables find a field. */
export function fieldHash(
  id: number,
  name: Uint8Array,
  nameStart: number,
  nameLength: number,
  value: Uint8Array,
  valueStart: number,
  valueLength: number,
): number {
  const hash = hashOf(id, value, valueStart, valueLength);
  return id === 0 ? hashOf(hash, name, nameStart, nameLength) : hash;
}
