import { EncodedHeads } from "./encoded-heads.js";
import { EncoderIndex } from "./encoder-index.js";
import type { FieldBlock } from "./field-block.js";
import { cell, cells } from "./field-cells.js";
import { fieldFlag } from "./field-classes.js";
import { isVolatile, nameBytes, staticNameMax } from "./field-names.js";
import { entryOverhead, HpackTable, ringBytes, tableBytesMax } from "./hpack-table.js";
import { encodeHuffman, huffmanLength } from "./huffman.js";
import { shortCopyMax } from "./output.js";
import { fieldHash, type PreparedField } from "./prepared-field.js";
import { findStatic } from "./static-table.js";

/** Fields with more bytes than this are never inserted into the table, because they would evict everything else. */
const indexedBytesMax = 1024;
const empty = new Uint8Array(0);

/**
 * Encodes the header blocks that one connection sends (RFC 7541). A field that repeats is indexed the second time. A
 * field that changes with every call is sent as a literal and leaves the table alone.
 */
export class HpackEncoder {
  readonly table = new HpackTable(new Uint8Array(ringBytes), 0);
  readonly #index = new EncoderIndex(this.table);
  /** Where the next byte of the current block is written. */
  at = 0;
  #out: Uint8Array = empty;
  #heads: EncodedHeads | undefined;
  /**
   * Fields with more bytes are not inserted: inserting one larger than the table would empty it and break the
   * references to it.
   */
  #indexedMax = indexedBytesMax;
  /** Whether a field was written as a literal that will be indexed the next time. */
  #isUndecided = false;
  #updateLow = -1;
  #updateFinal = -1;

  /** Takes the peer's SETTINGS_HEADER_TABLE_SIZE. At most `tableBytesMax` is used. */
  setTableMax(bytes: number): void {
    const size = Math.min(bytes, tableBytesMax);
    if (size === (this.#updateFinal < 0 ? this.table.maxSize : this.#updateFinal)) return;
    this.#updateLow = this.#updateLow < 0 ? size : Math.min(this.#updateLow, size);
    this.#updateFinal = size;
  }

  /**
   * Starts a block in `out` at `at`. `out` must have room for 8 bytes and, for each field, its name, its value and 32
   * bytes.
   */
  begin(out: Uint8Array, at: number): void {
    this.#out = out;
    this.at = at;
    if (this.#updateFinal < 0) return;
    // Both the smallest and the final size must be sent (RFC 7541, 4.2).
    if (this.#updateLow < this.#updateFinal) this.#resize(this.#updateLow);
    this.#resize(this.#updateFinal);
    this.#updateLow = -1;
    this.#updateFinal = -1;
  }

  #resize(size: number): void {
    this.#heads = undefined;
    this.table.setMaxSize(size);
    this.#indexedMax = Math.min(indexedBytesMax, size - entryOverhead);
    this.#integer(0x20, 5, size);
  }

  /** Ends the block and returns where it ends. */
  end(): number {
    this.#out = empty;
    return this.at;
  }

  /**
   * Writes `first`, the fields of `block` that are not dropped, and `last`. Pseudo-header fields must come first.
   * `last` must not repeat a name of `block`, because the order of the two is undefined.
   */
  message(
    first: readonly PreparedField[] | null,
    block: FieldBlock | null,
    last: readonly PreparedField[] | null,
  ): void {
    const profile = block?.profile;
    if (block === null || !profile?.isPlain) {
      this.#prepared(first);
      if (block !== null) for (let field = 0; field < block.count; field++) this.field(block, field);
      this.#prepared(last);
      return;
    }
    // The order of fields with different names has no meaning (RFC 9110, 5.3), so the varying ones come last.
    const { inserted } = this.table;
    const gone = block.dropped & profile.steadyMask;
    const known = this.#heads?.find(profile, first, last, gone, inserted);
    if (known !== undefined) {
      this.#copy(known, 0, known.length);
    } else {
      const start = this.at;
      this.#isUndecided = false;
      this.#prepared(first);
      for (let field = 0; field < profile.count; field++)
        if ((profile.steadyMask & (1 << field)) !== 0) this.field(block, field);
      this.#prepared(last);
      // A field that was just inserted, or will be the next time, is encoded differently the next time.
      if (this.table.inserted === inserted && !this.#isUndecided) {
        this.#heads ??= new EncodedHeads();
        this.#heads.keep(profile, first, last, gone, inserted, this.#out, start, this.at);
      }
    }
    const { varying } = profile;
    for (let i = 0; i < varying.length; i++) this.field(block, varying[i] as number);
    for (let field = profile.count; field < block.count; field++) this.field(block, field);
  }

  #prepared(fields: readonly PreparedField[] | null): void {
    if (fields !== null) for (let i = 0; i < fields.length; i++) this.prepared(fields[i] as PreparedField);
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
        // The first volatile field of a name is inserted, so that later ones can refer to the name.
        insert = id > staticNameMax && this.#index.entryNamed(id) === 0;
        if (insert) hash = fieldHash(id, name, nameStart, nameLength, block.bytes, valueStart, valueLength);
      } else {
        hash = rows[row + cell.hash] as number;
        if (hash === 0) hash = fieldHash(id, name, nameStart, nameLength, block.bytes, valueStart, valueLength);
        const entry = this.#index.find(id, name, nameStart, nameLength, block.bytes, valueStart, valueLength, hash);
        if (entry > 0) {
          if (from > 0 && block.table?.isLive(from)) block.table.link(from, this, entry);
          this.#indexed(entry);
          return;
        }
        insert = this.#index.isWorthEntry(hash);
        if (!insert) this.#isUndecided = true;
      }
      insert &&= nameLength + valueLength <= this.#indexedMax;
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
    // Huffman coding makes some strings longer than the room reserved for them.
    if (wireLength > 0 && wireLength <= valueLength && block.wire !== null) {
      const wireStart = rows[row + cell.wireStart] as number;
      this.#integer(flags & fieldFlag.wireHuffman ? 0x80 : 0, 7, wireLength);
      this.#copy(block.wire, wireStart, wireLength);
    } else this.#string(block.bytes, valueStart, valueLength);
    if (insert) this.#index.insert(id, name, nameStart, nameLength, block.bytes, valueStart, valueLength, hash);
  }

  /** Writes a field that the caller sends often. The first use indexes it. */
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
    let entry = this.#index.find(nameId, name, 0, name.length, value, 0, value.length, field.hash);
    if (entry > 0) this.#indexed(entry);
    else if (field.size > this.table.maxSize) {
      this.#name(nameId, name, 0, name.length, 0, 4);
      this.#string(value, 0, value.length);
    } else {
      this.#name(nameId, name, 0, name.length, 0x40, 6);
      this.#string(value, 0, value.length);
      entry = this.#index.insert(nameId, name, 0, name.length, value, 0, value.length, field.hash);
    }
    field.linkOwner = this;
    field.linkEntry = entry;
  }

  #indexed(entry: number): void {
    this.#integer(0x80, 7, 61 + this.table.inserted - entry + 1);
  }

  #name(id: number, name: Uint8Array, start: number, length: number, first: number, bits: number): void {
    if (id > 0 && id <= staticNameMax) {
      this.#integer(first, bits, id);
      return;
    }
    const entry = id > 0 ? this.#index.entryNamed(id) : 0;
    if (entry > 0) {
      this.#integer(first, bits, 61 + this.table.inserted - entry + 1);
      return;
    }
    this.#out[this.at++] = first;
    this.#string(name, start, length);
  }

  /** Writes a string, Huffman-coded if that is shorter. */
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
    if (length > shortCopyMax && start === 0 && length === source.length) out.set(source, at);
    else for (let i = 0; i < length; i++) out[at + i] = source[start + i] as number;
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
