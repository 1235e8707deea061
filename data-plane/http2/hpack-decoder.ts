import { cell, cells, FieldBlock } from "./field-block.js";
import { classifyName, classifyValue, fieldFlag, hashOf } from "./field-classes.js";
import { findName, isVolatile, nameBytes } from "./field-names.js";
import { HpackTable, ringBytes, tableBytesMax } from "./hpack-table.js";
import { decodeHuffman } from "./huffman.js";
import { staticEntries, staticName, staticValueLength, staticValues } from "./static-table.js";

/** What came of a header block. */
export const decoded = {
  ok: 0,
  /** More fields or bytes than allowed: the block was read for the table's sake, the fields are not all there. */
  tooLarge: 1,
  /** So far over the limit that reading was given up: the connection cannot go on. */
  flood: 2,
  /** RFC 7541 was broken: the connection cannot go on (COMPRESSION_ERROR). */
  error: 3,
} as const;

export interface HpackDecoderLimits {
  readonly headerFieldsMax: number;
  readonly headerListBytesMax: number;
}

/** Over the limit by this factor, a header block is an attack (hyper gives up at the same). */
const floodFactor = 4;
/** A Huffman string that may still fit the table decodes to no more than this. */
const stringRoom = 6 * tableBytesMax;

/** Decodes header blocks of one direction of one connection (RFC 7541). Fields are counted before they are copied. */
export class HpackDecoder {
  readonly fields: FieldBlock;
  readonly table: HpackTable;
  readonly #fieldsMax: number;
  readonly #listBytesMax: number;
  /** Read position, and the end of what may be read. */
  #at = 0;
  #end = 0;
  /** Of the string read last: where it is, and its form on the wire. */
  #stringStart = 0;
  #stringLength = 0;
  #wireStart = 0;
  #wireLength = 0;
  #wireHuffman = false;
  #tooLarge = false;
  /** Bytes that this block has put into the table; past `tableBytesMax` the ring may overwrite what the block refers to. */
  #insertedBytes = 0;
  #seenFields = 0;
  #seenBytes = 0;

  constructor(limits: HpackDecoderLimits) {
    this.#fieldsMax = limits.headerFieldsMax;
    this.#listBytesMax = limits.headerListBytesMax;
    const base = staticValues.length;
    this.fields = new FieldBlock(limits.headerFieldsMax, base + ringBytes, base + ringBytes + 2048);
    this.table = new HpackTable(this.fields.bytes, base);
    this.fields.table = this.table;
  }

  /** The size of the list that was decoded last, whether its fields were kept or not. */
  get listBytes(): number {
    return this.#seenBytes;
  }

  /**
   * Decodes the whole block `source[start, end)` into `fields`, which stay valid until the next call, and
   * as long as `source` is not overwritten. One of `decoded`.
   */
  decode(source: Uint8Array, start: number, end: number): number {
    const fields = this.fields;
    fields.clear();
    fields.wire = source;
    this.#at = start;
    this.#end = end;
    this.#tooLarge = false;
    this.#insertedBytes = 0;
    this.#seenFields = 0;
    this.#seenBytes = 0;
    let updates = 0;
    while (this.#at < end) {
      const first = source[this.#at] as number;
      if (first >= 0x80) {
        if (!this.#indexed(this.#integer(source, 7))) return decoded.error;
      } else if (first >= 0x40) {
        if (!this.#literal(source, 6, 0)) return decoded.error;
      } else if (first >= 0x20) {
        const size = this.#integer(source, 5);
        // At the start of a block only, twice at most (4.2), and not beyond what we announced.
        if (size < 0 || size > tableBytesMax || this.#seenFields > 0 || ++updates > 2) return decoded.error;
        this.table.setMaxSize(size);
      } else {
        if (!this.#literal(source, 4, first >= 0x10 ? fieldFlag.neverIndexed : 0)) return decoded.error;
      }
      if (this.#seenBytes >= floodFactor * this.#listBytesMax) return decoded.flood;
    }
    return this.#tooLarge ? decoded.tooLarge : decoded.ok;
  }

  /** An integer with a prefix of `bits` bits (RFC 7541, 5.1), or -1 if it is cut short or absurd. */
  #integer(source: Uint8Array, bits: number): number {
    const mask = (1 << bits) - 1;
    let value = (source[this.#at++] as number) & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= this.#end) return -1;
      const byte = source[this.#at++] as number;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return -1;
  }

  /** Counts a field of this size and says whether it is to be kept. */
  #count(bytes: number): boolean {
    this.#seenFields++;
    this.#seenBytes += bytes + 32;
    if (this.#seenFields > this.#fieldsMax || this.#seenBytes > this.#listBytesMax) this.#tooLarge = true;
    return !this.#tooLarge;
  }

  #indexed(index: number): boolean {
    if (index <= 0) return false;
    const fields = this.fields;
    if (index <= staticEntries) {
      const length = nameBytes(staticName[index] as number).length + (staticValueLength[index] as number);
      if (this.#count(length)) fields.pushStatic(index);
      return true;
    }
    const table = this.table;
    const back = index - staticEntries;
    if (back > table.count) return false;
    const entry = table.inserted - back + 1;
    if (!this.#count(table.nameLength(entry) + table.valueLength(entry))) return true;
    fields.pushEntry(table, entry);
    if (this.#insertedBytes > tableBytesMax) this.#moveOut(fields.count - 1);
    return true;
  }

  #literal(source: Uint8Array, bits: number, never: number): boolean {
    const fields = this.fields;
    const keptAt = fields.writeAt;
    const index = this.#integer(source, bits);
    if (index < 0) return false;
    let id = 0;
    let nameStart = 0;
    let nameLength: number;
    let flags = never;
    if (index === 0) {
      if (!this.#string(source)) return false;
      nameStart = this.#stringStart;
      nameLength = this.#stringLength;
      id = findName(fields.bytes, nameStart, nameStart + nameLength);
      if (id === 0) flags |= classifyName(fields.bytes, nameStart, nameLength);
    } else if (index <= staticEntries) {
      id = staticName[index] as number;
      nameLength = nameBytes(id).length;
    } else {
      const back = index - staticEntries;
      if (back > this.table.count) return false;
      const entry = this.table.inserted - back + 1;
      id = this.table.nameId(entry);
      nameLength = this.table.nameLength(entry);
      flags |= this.table.flags(entry) & (fieldFlag.badName | fieldFlag.underscore);
      nameStart = this.table.nameStart(entry);
      if (id === 0) nameStart = this.#toScratch(nameStart, nameLength);
    }
    if (!this.#string(source)) return false;
    const valueStart = this.#stringStart;
    const valueLength = this.#stringLength;
    flags |= classifyValue(fields.bytes, valueStart, valueLength);
    const keep = this.#count(nameLength + valueLength);
    let entry = 0;
    let hash = 0;
    if (bits === 6) {
      // Nobody looks for a volatile field in another table.
      if (!isVolatile(id)) hash = hashOf(id, fields.bytes, valueStart, valueLength);
      if (id === 0) hash = hashOf(hash, fields.bytes, nameStart, nameLength);
      const before = this.#insertedBytes;
      this.#insertedBytes += nameLength + valueLength;
      if (before <= tableBytesMax && this.#insertedBytes > tableBytesMax) {
        for (let field = 0; field < fields.count; field++) this.#moveOut(field);
      }
      const { bytes } = fields;
      entry = this.table.insert(id, bytes, nameStart, nameLength, bytes, valueStart, valueLength, hash, flags);
    }
    if (!keep) {
      fields.writeAt = keptAt;
      return true;
    }
    if (this.#wireHuffman) flags |= fieldFlag.wireHuffman;
    fields.push(
      id,
      nameStart,
      nameLength,
      valueStart,
      valueLength,
      hash,
      flags,
      entry,
      this.#wireStart,
      this.#wireLength,
    );
    return true;
  }

  /** Reads a string (RFC 7541, 5.2) into the block's own bytes; false: it breaks the rules. */
  #string(source: Uint8Array): boolean {
    if (this.#at >= this.#end) return false;
    const huffman = (source[this.#at] as number) >= 0x80;
    const length = this.#integer(source, 7);
    if (length < 0 || length > this.#end - this.#at) return false;
    const fields = this.fields;
    const start = fields.writeAt;
    const from = this.#at;
    this.#at += length;
    this.#wireStart = from;
    this.#wireLength = length;
    this.#wireHuffman = huffman;
    this.#stringStart = start;
    const room = huffman ? ((length * 8) / 5 + 2) | 0 : length;
    if (room > stringRoom) {
      // Longer than the table and over the limit of a list: only that it was there matters.
      this.#tooLarge = true;
      this.#stringLength = length;
      fields.reserve(length);
      return true;
    }
    fields.reserve(room);
    const bytes = fields.bytes;
    if (huffman) {
      const end = decodeHuffman(source, from, from + length, bytes, start);
      if (end < 0) return false;
      this.#stringLength = end - start;
      fields.writeAt = end;
      return true;
    }
    for (let i = 0; i < length; i++) bytes[start + i] = source[from + i] as number;
    this.#stringLength = length;
    fields.writeAt = start + length;
    return true;
  }

  /** Moves what a field refers to in the table's ring to where nothing overwrites it during this block. */
  #moveOut(field: number): void {
    const { rows } = this.fields;
    const row = field * cells;
    if ((rows[row + cell.entry] as number) <= 0 || (rows[row + cell.valueStart] as number) >= this.fields.scratchStart)
      return;
    const nameLength = rows[row + cell.nameLength] as number;
    if (rows[row] === 0) rows[row + cell.nameStart] = this.#toScratch(rows[row + cell.nameStart] as number, nameLength);
    const valueLength = rows[row + cell.valueLength] as number;
    rows[row + cell.valueStart] = this.#toScratch(rows[row + cell.valueStart] as number, valueLength);
  }

  #toScratch(start: number, length: number): number {
    const fields = this.fields;
    fields.reserve(length);
    const at = fields.writeAt;
    fields.bytes.copyWithin(at, start, start + length);
    fields.writeAt = at + length;
    return at;
  }
}
