import { cell, cells } from "./field-cells.js";
import { classifyName, classifyValue, fieldFlag } from "./field-classes.js";
import { findName, nameBytes, nameText } from "./field-names.js";
import type { FieldProfile } from "./field-profile.js";
import { entriesMax, type HpackTable, tableColumns } from "./hpack-table.js";
import { staticName, staticValueLength, staticValueStart, staticValues } from "./static-table.js";

/** More than a shape has (block-shapes.ts), with what is added to one. */
const rowsAtFirst = 48;
/** A block may stay so much larger than it was made. */
const spareBytes = 16_384;

/**
 * The fields of one header block, as slices of one buffer. The decoder of a connection fills the same
 * block again and again: what is to outlive the call that hands it out must be copied (`copy`).
 * Nothing is a string until somebody asks.
 */
export class FieldBlock {
  /** Static values first, then (in a decoder's block) the dynamic table, then what this block holds. */
  bytes: Buffer;
  /** Of this block alone, or, while it has a profile, those of all blocks of its shape. */
  rows: Int32Array;
  #ownRows = new Int32Array(rowsAtFirst * cells);
  count = 0;
  /** The sum of name, value and 32 for each field (RFC 9113, 6.5.2), dropped ones included. */
  listBytes = 0;
  /** The bytes that the block was decoded from, while it may be read from them; else null. */
  wire: Uint8Array | null = null;
  /** The dynamic table that `cell.entry` speaks of. */
  table: HpackTable | null = null;
  /** What is known of blocks like this one; null: nothing, or a value of it has been replaced. */
  profile: FieldProfile | null = null;
  /** Of the first 32 fields: a bit for each that is dropped. */
  dropped = 0;
  /** Where the next byte of this block's own goes. */
  writeAt: number;
  readonly scratchStart: number;
  readonly #capacity: number;
  #hasGrown = false;

  /** Grows as it is filled; how far is for whoever fills it to bound. */
  constructor(scratchStart = staticValues.length, capacity = scratchStart + 1024) {
    this.#capacity = capacity;
    this.rows = this.#ownRows;
    this.bytes = Buffer.alloc(capacity);
    this.bytes.set(staticValues);
    this.scratchStart = scratchStart;
    this.writeAt = scratchStart;
  }

  /** What it takes in memory. */
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

  /** What it counts in the list. */
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

  /** Adds a field; both texts are taken as Latin-1. False: a shape has no room for it. */
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

  /** Adds a row; the bytes are in place already and the caller has looked that there is room. */
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

  /** Takes the row of a field from a shape; `bytes`: what it counts in the list. */
  putRow(field: number, from: Int32Array, bytes: number): void {
    const row = field * cells;
    for (let at = row; at < row + cells; at++) this.rows[at] = from[at] as number;
    this.listBytes += bytes;
  }

  /**
   * Takes the rows of a shape, with those of fields that vary from this block; their bytes are in place. `bytes`: what
   * the others count in the list.
   */
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

  /** Leaves the shape's rows as they were. */
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

  /** Gives a field another value, which is taken as Latin-1. */
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

  /** Gives back what only a long block needed; its fields are gone then. */
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
