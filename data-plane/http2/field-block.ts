import { classifyName, classifyValue, fieldFlag } from "./field-classes.js";
import { findName, nameBytes, nameText } from "./field-names.js";
import { entriesMax, type HpackTable, tableColumns } from "./hpack-table.js";
import { staticName, staticValueLength, staticValueStart, staticValues } from "./static-table.js";

/** Where the numbers of a field are within its row. */
export const cell = {
  nameId: 0,
  nameStart: 1,
  nameLength: 2,
  valueStart: 3,
  valueLength: 4,
  /** Of name and value; 0: not computed yet. */
  hash: 5,
  flags: 6,
  /** > 0: number of the entry in the dynamic table it came from; < 0: minus the static index. */
  entry: 7,
  /** The value as it came on the wire, for passing on: in `wire`, Huffman-coded if the flag says so. */
  wireStart: 8,
  wireLength: 9,
} as const;
export const cells = 10;

/**
 * The fields of one header block, as slices of one buffer. The decoder of a connection fills the same
 * block again and again: what is to outlive the call that hands it out must be copied (`copy`).
 * Nothing is a string until somebody asks.
 */
export class FieldBlock {
  /** Static values first, then (in a decoder's block) the dynamic table, then what this block holds. */
  bytes: Buffer;
  readonly rows: Int32Array;
  readonly fieldsMax: number;
  count = 0;
  /** The sum of name, value and 32 for each field (RFC 9113, 6.5.2), dropped ones included. */
  listBytes = 0;
  /** The bytes that the block was decoded from, while it may be read from them; else null. */
  wire: Uint8Array | null = null;
  /** The dynamic table that `cell.entry` speaks of. */
  table: HpackTable | null = null;
  /** Where the next byte of this block's own goes. */
  writeAt: number;
  readonly scratchStart: number;

  /** `fieldsMax` fields, and some more for those who add to what was decoded. */
  constructor(fieldsMax = 128, scratchStart = staticValues.length, capacity = scratchStart + 1024) {
    this.fieldsMax = fieldsMax + 16;
    this.rows = new Int32Array(this.fieldsMax * cells);
    this.bytes = Buffer.alloc(capacity);
    this.bytes.set(staticValues);
    this.scratchStart = scratchStart;
    this.writeAt = scratchStart;
  }

  /** What it takes in memory. */
  get heldBytes(): number {
    return this.bytes.length + this.rows.byteLength;
  }

  clear(): void {
    this.count = 0;
    this.listBytes = 0;
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

  isDropped(field: number): boolean {
    return ((this.rows[field * cells + cell.flags] as number) & fieldFlag.dropped) !== 0;
  }

  drop(field: number): void {
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
    const row = field * cells;
    const id = this.rows[row] as number;
    return id > 0 ? nameText(id) : this.#text(row + cell.nameStart);
  }

  /** Whether the name of a field begins with `prefix`, which must be ASCII. */
  nameStartsWith(field: number, prefix: string): boolean {
    const row = field * cells;
    const id = this.rows[row] as number;
    if (id > 0) return nameText(id).startsWith(prefix);
    if ((this.rows[row + cell.nameLength] as number) < prefix.length) return false;
    const start = this.rows[row + cell.nameStart] as number;
    for (let i = 0; i < prefix.length; i++) if (this.bytes[start + i] !== prefix.charCodeAt(i)) return false;
    return true;
  }

  valueText(field: number): string {
    const row = field * cells;
    const entry = this.rows[row + cell.entry] as number;
    if (entry > 0 && this.table?.isLive(entry)) {
      const cached = this.table.text(entry);
      if (cached !== undefined) return cached;
      const text = this.#text(row + cell.valueStart);
      this.table.keepText(entry, text);
      return text;
    }
    return this.#text(row + cell.valueStart);
  }

  /** Whether the value of `field` is exactly `text`, which must be ASCII. */
  valueIs(field: number, text: string): boolean {
    const length = this.valueLength(field);
    if (length !== text.length) return false;
    const start = this.valueStart(field);
    for (let i = 0; i < length; i++) if (this.bytes[start + i] !== text.charCodeAt(i)) return false;
    return true;
  }

  #text(place: number): string {
    const start = this.rows[place] as number;
    return this.bytes.toString("latin1", start, start + (this.rows[place + 1] as number));
  }

  /** Adds a field; both texts are taken as Latin-1. False: the block is full. */
  add(name: string, value: string, flags = 0): boolean {
    if (this.count === this.fieldsMax) return false;
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
    const rows = this.rows;
    const row = this.count++ * cells;
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
    const rows = this.rows;
    const row = this.count++ * cells;
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

  pushStatic(index: number): void {
    const id = staticName[index] as number;
    const length = staticValueLength[index] as number;
    this.push(id, 0, nameBytes(id).length, staticValueStart[index] as number, length, 0, 0, -index, 0, 0);
  }

  /** Gives a field another value, which is taken as Latin-1. */
  replaceValue(field: number, value: string): void {
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

  /** Makes room for `length` more bytes. */
  reserve(length: number): void {
    const needed = this.writeAt + length;
    if (needed <= this.bytes.length) return;
    const larger = Buffer.alloc(Math.max(needed, this.bytes.length * 2));
    larger.set(this.bytes);
    this.bytes = larger;
    if (this.table !== null && this.scratchStart > staticValues.length) this.table.bytes = larger;
  }

  /** A block of its own with the fields that are not dropped. */
  copy(): FieldBlock {
    const copy = new FieldBlock(this.count, staticValues.length, staticValues.length + this.listBytes);
    for (let field = 0; field < this.count; field++) {
      if (!this.isDropped(field)) copy.addFrom(this, field);
    }
    return copy;
  }

  /** Adds a field of another block. The caller has looked that there is room for one more. */
  addFrom(from: FieldBlock, field: number): void {
    const row = field * cells;
    const id = from.rows[row] as number;
    const nameLength = from.rows[row + cell.nameLength] as number;
    const valueLength = from.rows[row + cell.valueLength] as number;
    const entry = from.rows[row + cell.entry] as number;
    if (entry < 0) {
      this.pushStatic(-entry);
      return;
    }
    this.reserve(nameLength + valueLength);
    const nameStart = this.writeAt;
    if (id === 0) this.#take(from.bytes, from.rows[row + cell.nameStart] as number, nameLength);
    const valueStart = this.writeAt;
    this.#take(from.bytes, from.rows[row + cell.valueStart] as number, valueLength);
    const flags = (from.rows[row + cell.flags] as number) & ~fieldFlag.wireHuffman;
    const hash = from.rows[row + cell.hash] as number;
    this.push(id, nameStart, nameLength, valueStart, valueLength, hash, flags, 0, 0, 0);
  }

  #take(source: Uint8Array, start: number, length: number): void {
    const target = this.bytes;
    const at = this.writeAt;
    for (let i = 0; i < length; i++) target[at + i] = source[start + i] as number;
    this.writeAt = at + length;
  }
}
