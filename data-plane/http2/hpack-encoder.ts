import { cell, cells, type FieldBlock } from "./field-block.js";
import { fieldFlag } from "./field-classes.js";
import { isVolatile, nameBytes, staticNameMax } from "./field-names.js";
import { HpackTable, ringBytes, tableBytesMax } from "./hpack-table.js";
import { encodeHuffman, huffmanLength } from "./huffman.js";
import { fieldHash, type PreparedField } from "./prepared-field.js";
import { findStatic } from "./static-table.js";

/** Fields larger than this are never put into the table: they would push everything else out. */
const indexedBytesMax = 1024;
const buckets = 256;

const empty = new Uint8Array(0);

/**
 * Encodes header blocks of one direction of one connection (RFC 7541). What repeats is indexed when it is
 * seen the second time; what changes with every call goes out as a literal and leaves the table alone.
 */
export class HpackEncoder {
  readonly table = new HpackTable(new Uint8Array(ringBytes), 0);
  /** Where the next byte goes in the block being written. */
  at = 0;
  #out: Uint8Array = empty;
  /** By hash: the newest entry, and for each slot the one before it with the same bucket. Dead entries end a chain. */
  readonly #newest = new Int32Array(buckets);
  readonly #before = new Int32Array(tableBytesMax / 32);
  /** Hashes of fields that went out as literals lately: one that comes again is worth an entry. */
  readonly #lately = new Int32Array(2 * buckets);
  /** For each known name: the newest entry that has it. */
  readonly #nameEntry = new Int32Array(256);
  #updateLow = -1;
  #updateFinal = -1;

  /** The peer's SETTINGS_HEADER_TABLE_SIZE; more than `tableBytesMax` is not used. */
  setTableMax(bytes: number): void {
    const size = Math.min(bytes, tableBytesMax);
    if (size === (this.#updateFinal < 0 ? this.table.maxSize : this.#updateFinal)) return;
    this.#updateLow = this.#updateLow < 0 ? size : Math.min(this.#updateLow, size);
    this.#updateFinal = size;
  }

  /**
   * Starts a block in `out` at `at`. There must be room for 8 bytes and, for each field, its name, its
   * value and 32 bytes.
   */
  begin(out: Uint8Array, at: number): void {
    this.#out = out;
    this.at = at;
    if (this.#updateFinal < 0) return;
    // Both the smallest and the final size must be told (RFC 7541, 4.2).
    if (this.#updateLow < this.#updateFinal) this.#resize(this.#updateLow);
    this.#resize(this.#updateFinal);
    this.#updateLow = -1;
    this.#updateFinal = -1;
  }

  #resize(size: number): void {
    this.table.setMaxSize(size);
    this.#integer(0x20, 5, size);
  }

  /** Ends the block and returns where it ends. */
  end(): number {
    this.#out = empty;
    return this.at;
  }

  /** Writes every field of `block` that is not dropped. */
  block(block: FieldBlock): void {
    for (let field = 0; field < block.count; field++) this.field(block, field);
  }

  /** Writes one field of a block, unless it is dropped. */
  field(block: FieldBlock, field: number): void {
    const rows = block.rows;
    const row = field * cells;
    const flags = rows[row + cell.flags] as number;
    if ((flags & fieldFlag.dropped) !== 0) return;
    const from = rows[row + cell.entry] as number;
    if (from < 0) {
      this.#integer(0x80, 7, -from);
      return;
    }
    const id = rows[row] as number;
    if (from > 0 && block.table !== null && block.table.isLive(from)) {
      const linked = block.table.linked(from, this);
      if (linked > 0 && this.table.isLive(linked)) {
        this.#indexed(linked);
        return;
      }
    }
    const name = id === 0 ? block.bytes : nameBytes(id);
    const nameStart = id === 0 ? (rows[row + cell.nameStart] as number) : 0;
    const nameLength = rows[row + cell.nameLength] as number;
    const valueStart = rows[row + cell.valueStart] as number;
    const valueLength = rows[row + cell.valueLength] as number;
    let insert = false;
    let hash = 0;
    if ((flags & fieldFlag.neverIndexed) === 0) {
      const index = findStatic(id, block.bytes, valueStart, valueLength);
      if (index > 0) {
        this.#integer(0x80, 7, index);
        return;
      }
      if (isVolatile(id)) {
        // Once, so that later ones can refer to the name.
        insert = id > staticNameMax && !this.table.isLive(this.#nameEntry[id] as number);
        if (insert) hash = fieldHash(id, name, nameStart, nameLength, block.bytes, valueStart, valueLength);
      } else {
        hash = rows[row + cell.hash] as number;
        if (hash === 0) hash = fieldHash(id, name, nameStart, nameLength, block.bytes, valueStart, valueLength);
        const entry = this.#find(id, name, nameStart, nameLength, block.bytes, valueStart, valueLength, hash);
        if (entry > 0) {
          if (from > 0 && block.table?.isLive(from)) block.table.link(from, this, entry);
          this.#indexed(entry);
          return;
        }
        insert = this.#worthEntry(hash);
      }
      insert &&= nameLength + valueLength <= indexedBytesMax;
    }
    this.#name(
      id,
      name,
      nameStart,
      nameLength,
      insert ? 0x40 : flags & fieldFlag.neverIndexed ? 0x10 : 0,
      insert ? 6 : 4,
    );
    const wireLength = rows[row + cell.wireLength] as number;
    if (wireLength > 0 && block.wire !== null) {
      const wireStart = rows[row + cell.wireStart] as number;
      this.#integer(flags & fieldFlag.wireHuffman ? 0x80 : 0, 7, wireLength);
      this.#copy(block.wire, wireStart, wireLength);
    } else this.#string(block.bytes, valueStart, valueLength);
    if (insert) this.#insert(id, name, nameStart, nameLength, block.bytes, valueStart, valueLength, hash);
  }

  /** Writes a field that the caller keeps for sending it often; it is indexed from the first time on. */
  prepared(field: PreparedField): void {
    if (field.staticIndex > 0) {
      this.#integer(0x80, 7, field.staticIndex);
      return;
    }
    if (field.linkOwner === this && this.table.isLive(field.linkEntry)) {
      this.#indexed(field.linkEntry);
      return;
    }
    const { nameId, name, value } = field;
    let entry = this.#find(nameId, name, 0, name.length, value, 0, value.length, field.hash);
    if (entry > 0) this.#indexed(entry);
    else {
      this.#name(nameId, name, 0, name.length, 0x40, 6);
      this.#string(value, 0, value.length);
      entry = this.#insert(nameId, name, 0, name.length, value, 0, value.length, field.hash);
    }
    field.linkOwner = this;
    field.linkEntry = entry;
  }

  /** Writes a field under a known name with a value that will not come again. */
  fresh(nameId: number, value: Uint8Array, start: number, length: number): void {
    const name = nameBytes(nameId);
    const insert = nameId > staticNameMax && !this.table.isLive(this.#nameEntry[nameId] as number);
    this.#name(nameId, name, 0, name.length, insert ? 0x40 : 0, insert ? 6 : 4);
    this.#string(value, start, length);
    if (insert) {
      const hash = fieldHash(nameId, name, 0, name.length, value, start, length);
      this.#insert(nameId, name, 0, name.length, value, start, length, hash);
    }
  }

  /** Says whether a field with this hash was written lately, and remembers it; sets of two, the older one goes. */
  #worthEntry(hash: number): boolean {
    const place = (hash & (buckets - 1)) * 2;
    const newer = this.#lately[place] as number;
    if (newer === hash || this.#lately[place + 1] === hash) return true;
    this.#lately[place + 1] = newer;
    this.#lately[place] = hash;
    return false;
  }

  #find(
    id: number,
    name: Uint8Array,
    nameStart: number,
    nameLength: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
    hash: number,
  ): number {
    const table = this.table;
    let entry = this.#newest[hash & (buckets - 1)] as number;
    for (; table.isLive(entry); entry = this.#before[entry & (this.#before.length - 1)] as number) {
      if (table.hash(entry) !== hash || table.nameId(entry) !== id || table.valueLength(entry) !== valueLength)
        continue;
      if (!same(table.bytes, table.valueStart(entry), value, valueStart, valueLength)) continue;
      if (id !== 0) return entry;
      if (
        table.nameLength(entry) === nameLength &&
        same(table.bytes, table.nameStart(entry), name, nameStart, nameLength)
      ) {
        return entry;
      }
    }
    return 0;
  }

  #insert(
    id: number,
    name: Uint8Array,
    nameStart: number,
    nameLength: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
    hash: number,
  ): number {
    const entry = this.table.insert(id, name, nameStart, nameLength, value, valueStart, valueLength, hash, 0);
    if (entry === 0) return 0;
    const bucket = hash & (buckets - 1);
    this.#before[entry & (this.#before.length - 1)] = this.#newest[bucket] as number;
    this.#newest[bucket] = entry;
    if (id !== 0) this.#nameEntry[id] = entry;
    return entry;
  }

  #indexed(entry: number): void {
    this.#integer(0x80, 7, 61 + this.table.inserted - entry + 1);
  }

  #name(id: number, name: Uint8Array, start: number, length: number, first: number, bits: number): void {
    if (id > 0 && id <= staticNameMax) {
      this.#integer(first, bits, id);
      return;
    }
    const entry = id > 0 ? (this.#nameEntry[id] as number) : 0;
    if (entry > 0 && this.table.isLive(entry)) {
      this.#integer(first, bits, 61 + this.table.inserted - entry + 1);
      return;
    }
    this.#out[this.at++] = first;
    this.#string(name, start, length);
  }

  /** A string, Huffman-coded if that is shorter. */
  #string(source: Uint8Array, start: number, length: number): void {
    const coded = huffmanLength(source, start, start + length);
    if (coded < length) {
      this.#integer(0x80, 7, coded);
      this.at = encodeHuffman(source, start, start + length, this.#out, this.at);
    } else {
      this.#integer(0, 7, length);
      this.#copy(source, start, length);
    }
  }

  #copy(source: Uint8Array, start: number, length: number): void {
    const out = this.#out;
    const at = this.at;
    for (let i = 0; i < length; i++) out[at + i] = source[start + i] as number;
    this.at = at + length;
  }

  #integer(first: number, bits: number, value: number): void {
    const mask = (1 << bits) - 1;
    const out = this.#out;
    if (value < mask) {
      out[this.at++] = first | value;
      return;
    }
    out[this.at++] = first | mask;
    let rest = value - mask;
    while (rest >= 0x80) {
      out[this.at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    out[this.at++] = rest;
  }
}

function same(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[aStart + i] !== b[bStart + i]) return false;
  return true;
}
