import { cell, cells } from "./field-cells.js";
import { classifyName, classifyValue, fieldFlag } from "./field-classes.js";
import { findName, nameBytes, nameText } from "./field-names.js";
import type { FieldProfile } from "./field-profile.js";
import { entriesMax, type HpackTable, tableColumns } from "./hpack-table.js";
import { staticName, staticValueLength, staticValueStart, staticValues } from "./static-table.js";

/** Rows of a new block: more than a shape has (block-shapes.ts), added fields included. */
const rowsAtFirst = 48;
/** A block keeps up to this many bytes more than it was made with. */
const spareBytes = 16_384;

/**
 * The fields of one header block, as slices of one buffer. A connection's decoder fills the same block again and again:
 * copy what must outlive the call (`copyFields`). Values become strings only on demand.
 */
export class FieldBlock {
  /** The static values, then (in a decoder's block) the dynamic table, then this block's own bytes. */
  bytes: Buffer;
  /** One row of `cells` numbers per field. While the block has a shape, these are the shape's rows. */
  rows: Int32Array;
  #ownRows = new Int32Array(rowsAtFirst * cells);
  count = 0;
  /** The sum of name length, value length and 32 over all fields (RFC 9113, 6.5.2), dropped ones included. */
  listBytes = 0;
  /** The bytes that the block was decoded from, while they may be read; or null. */
  wire: Uint8Array | null = null;
  /** The dynamic table whose entries `cell.entry` numbers. */
  table: HpackTable | null = null;
  /** What is known about blocks like this one; null if nothing is, or if a value was replaced. */
  profile: FieldProfile | null = null;
  /** A bit for each of the first 32 fields that is dropped. */
  dropped = 0;
  /** Where this block's next own byte is written. */
  writeAt: number;
  readonly scratchStart: number;
  readonly #capacity: number;
  #hasGrown = false;

  /** The block grows as it is filled; the caller that fills it bounds its size. */
  constructor(scratchStart = staticValues.length, capacity = scratchStart + 1024) {
    this.#capacity = capacity;
    this.rows = this.#ownRows;
    this.bytes = Buffer.alloc(capacity);
    this.bytes.set(staticValues);
    this.scratchStart = scratchStart;
    this.writeAt = scratchStart;
  }

  /** Memory that the block holds, in bytes. */
  get heldBytes(): number {
    return this.bytes.length + this.#ownRows.byteLength;
  }

  clear(): void {
    if (this.rows !== this.#ownRows) this.#restoreShape();
    this.count = 0;
    this.listBytes = 0;
    this.profile = null;
    this.dropped = 0;
    this.wire = null;
    this.writeAt = this.scratchStart;
  }

  nameId(field: number): number {
    return this.rows[field * cells] as number;
  }

  flags(field: number): number {
    return this.rows[field * cells + cell.flags] as number;
  }

  nameStart(field: number): number {
    return this.rows[field * cells + cell.nameStart] as number;
  }

  valueStart(field: number): number {
    return this.rows[field * cells + cell.valueStart] as number;
  }

  valueLength(field: number): number {
    return this.rows[field * cells + cell.valueLength] as number;
  }

  /** Returns the list size of a field in bytes. */
  sizeOf(field: number): number {
    return 32 + (this.rows[field * cells + cell.nameLength] as number) + this.valueLength(field);
  }

  isDropped(field: number): boolean {
    return ((this.rows[field * cells + cell.flags] as number) & fieldFlag.dropped) !== 0;
  }

  drop(field: number): void {
    if (field < 32) this.dropped |= 1 << field;
    const place = field * cells + cell.flags;
    this.rows[place] = (this.rows[place] as number) | fieldFlag.dropped;
  }

  /** The first field with this name that is not dropped, or -1. */
  find(nameId: number): number {
    const rows = this.rows;
    for (let field = 0, row = 0; field < this.count; field++, row += cells) {
      if (rows[row] === nameId && ((rows[row + cell.flags] as number) & fieldFlag.dropped) === 0) return field;
    }
    return -1;
  }

  nameText(field: number): string {
    const id = this.nameId(field);
    return id > 0 ? nameText(id) : this.#text(field * cells + cell.nameStart);
  }

  valueText(field: number): string {
    const row = field * cells;
    const entry = this.rows[row + cell.entry] as number;
    if (entry <= 0 || !this.table?.isLive(entry)) return this.#text(row + cell.valueStart);
    const cached = this.table.text(entry);
    if (cached !== undefined) return cached;
    const text = this.#text(row + cell.valueStart);
    this.table.keepText(entry, text);
    return text;
  }

  /** Whether the value of `field` is exactly `text`, which must be ASCII. */
  valueIs(field: number, text: string): boolean {
    if (this.valueLength(field) !== text.length) return false;
    const start = this.valueStart(field);
    for (let i = 0; i < text.length; i++) if (this.bytes[start + i] !== text.charCodeAt(i)) return false;
    return true;
  }

  #text(place: number): string {
    const { rows, bytes } = this;
    return bytes.toString("latin1", rows[place], (rows[place] as number) + (rows[place + 1] as number));
  }

  /**
   * Adds a field; both texts are taken as Latin-1. Returns false if the block has a shape without room for one more
   * field.
   */
  add(name: string, value: string, flags = 0): boolean {
    if (this.count * cells === this.rows.length && this.rows !== this.#ownRows) return false;
    const nameLength = name.length;
    this.reserve(nameLength + value.length);
    const nameStart = this.writeAt;
    for (let i = 0; i < nameLength; i++) this.bytes[nameStart + i] = name.charCodeAt(i);
    const valueStart = nameStart + nameLength;
    for (let i = 0; i < value.length; i++) this.bytes[valueStart + i] = value.charCodeAt(i);
    this.writeAt = valueStart + value.length;
    const id = findName(this.bytes, nameStart, valueStart);
    const classes =
      classifyName(this.bytes, nameStart, nameLength) | classifyValue(this.bytes, valueStart, value.length);
    this.push(id, nameStart, nameLength, valueStart, value.length, 0, flags | classes, 0, 0, 0);
    return true;
  }

  /** Adds a row. The bytes are in place already, and the caller has checked that the row fits. */
  push(
    nameId: number,
    nameStart: number,
    nameLength: number,
    valueStart: number,
    valueLength: number,
    hash: number,
    flags: number,
    entry: number,
    wireStart: number,
    wireLength: number,
  ): void {
    const row = this.count++ * cells;
    if (row === this.rows.length) this.#growRows();
    const rows = this.rows;
    rows[row] = nameId;
    rows[row + 1] = nameStart;
    rows[row + 2] = nameLength;
    rows[row + 3] = valueStart;
    rows[row + 4] = valueLength;
    rows[row + 5] = hash;
    rows[row + 6] = flags;
    rows[row + 7] = entry;
    rows[row + 8] = wireStart;
    rows[row + 9] = wireLength;
    this.listBytes += nameLength + valueLength + 32;
  }

  /** Adds a live entry of the dynamic table; its bytes stay where they are. */
  pushEntry(table: HpackTable, entry: number): void {
    const from = table.rows;
    const place = (entry & (entriesMax - 1)) * tableColumns;
    const row = this.count++ * cells;
    if (row === this.rows.length) this.#growRows();
    const rows = this.rows;
    const nameLength = from[place + 2] as number;
    const valueLength = from[place + 4] as number;
    rows[row] = from[place] as number;
    rows[row + 1] = from[place + 1] as number;
    rows[row + 2] = nameLength;
    rows[row + 3] = from[place + 3] as number;
    rows[row + 4] = valueLength;
    rows[row + 5] = from[place + 5] as number;
    rows[row + 6] = from[place + 6] as number;
    rows[row + 7] = entry;
    rows[row + 9] = 0;
    this.listBytes += nameLength + valueLength + 32;
  }

  /** Copies a field's row from a shape. `bytes`: the list size of the field. */
  putRow(field: number, from: Int32Array, bytes: number): void {
    const row = field * cells;
    for (let at = row; at < row + cells; at++) this.rows[at] = from[at] as number;
    this.listBytes += bytes;
  }

  /** Uses a shape's rows, with this block's varying fields in them. `bytes`: the list size of the other fields. */
  takeShape(rows: Int32Array, profile: FieldProfile, bytes: number): void {
    const own = this.rows;
    for (let i = 0; i < profile.varying.length; i++) {
      const row = (profile.varying[i] as number) * cells;
      for (let at = row; at < row + cells; at++) rows[at] = own[at] as number;
    }
    this.rows = rows;
    this.profile = profile;
    this.listBytes += bytes;
  }

  /** Undoes the changes that this block made to the shape's rows, and stops using them. */
  #restoreShape(): void {
    const { rows } = this;
    for (let bits = this.dropped; bits !== 0; bits &= bits - 1) {
      const place = (31 - Math.clz32(bits & -bits)) * cells + cell.flags;
      rows[place] = (rows[place] as number) & ~fieldFlag.dropped;
    }
    this.rows = this.#ownRows;
  }

  pushStatic(index: number): void {
    const id = staticName[index] as number;
    const length = staticValueLength[index] as number;
    this.push(id, 0, nameBytes(id).length, staticValueStart[index] as number, length, 0, 0, -index, 0, 0);
  }

  /** Replaces the value of a field with `value`, which is taken as Latin-1. */
  replaceValue(field: number, value: string): void {
    this.profile = null;
    if (this.rows !== this.#ownRows) {
      this.#ownRows.set(this.rows.subarray(0, this.count * cells));
      this.#restoreShape();
    }
    this.reserve(value.length);
    const row = field * cells;
    const start = this.writeAt;
    for (let i = 0; i < value.length; i++) this.bytes[start + i] = value.charCodeAt(i);
    this.writeAt = start + value.length;
    const rows = this.rows;
    this.listBytes += value.length - (rows[row + cell.valueLength] as number);
    rows[row + cell.valueStart] = start;
    rows[row + cell.valueLength] = value.length;
    rows[row + cell.hash] = 0;
    rows[row + cell.entry] = 0;
    rows[row + cell.wireLength] = 0;
  }

  #growRows(): void {
    const larger = new Int32Array(this.#ownRows.length * 2);
    larger.set(this.#ownRows);
    this.#ownRows = this.rows = larger;
    this.#hasGrown = true;
  }

  /** Releases the memory that only a long block needed. The block's fields are lost then. */
  shrink(): void {
    if (!this.#hasGrown) return;
    const isLong = this.bytes.length > this.#capacity + spareBytes;
    if (isLong || this.#ownRows.length > rowsAtFirst * cells) {
      this.clear();
      this.#ownRows = this.rows = new Int32Array(rowsAtFirst * cells);
    }
    if (isLong) this.#replaceBytes(this.#capacity, this.scratchStart);
    this.#hasGrown = false;
  }

  #replaceBytes(length: number, kept: number): void {
    const bytes = Buffer.alloc(length);
    bytes.set(this.bytes.subarray(0, kept));
    this.bytes = bytes;
    this.#hasGrown = true;
    if (this.table !== null && this.scratchStart > staticValues.length) this.table.bytes = bytes;
  }

  /** Makes room for `length` more bytes. */
  reserve(length: number): void {
    const needed = this.writeAt + length;
    if (needed <= this.bytes.length) return;
    this.#replaceBytes(Math.max(needed, this.bytes.length * 2), this.writeAt);
  }
}
