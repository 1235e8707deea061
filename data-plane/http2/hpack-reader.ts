import type { FieldBlock } from "./field-block.js";
import { cutSpaces, skipSpaces } from "./field-classes.js";
import { tableBytesMax } from "./hpack-table.js";
import { decodeHuffman, hasLongCode } from "./huffman.js";

const nothing = new Uint8Array(0);

/** Reads the integers and strings of header blocks. */
export class HpackReader {
  source: Uint8Array = nothing;
  /** The read position, and where the block ends. */
  at = 0;
  end = 0;
  /** The last string read: where its decoded and its encoded bytes are. */
  stringStart = 0;
  stringLength = 0;
  wireStart = 0;
  wireLength = 0;
  isHuffman = false;
  /** Whether its encoding alone shows that it is printable ASCII. */
  isPrintable = false;
  /** Whether a string of this field was too long to be read. */
  isTooLong = false;
  /** Room for the longest string that may still fit into the list or the table, in bytes. */
  readonly #stringRoom: number;

  constructor(listBytesMax: number) {
    this.#stringRoom = Math.max(6 * tableBytesMax, 2 * listBytesMax);
  }

  begin(source: Uint8Array, start: number, end: number): void {
    this.source = source;
    this.at = start;
    this.end = end;
    this.isTooLong = false;
  }

  /**
   * Reads an integer with a prefix of `bits` bits (RFC 7541, 5.1). Returns -1 if it is incomplete or longer than any
   * valid one.
   */
  integer(bits: number): number {
    const { source } = this;
    const mask = (1 << bits) - 1;
    let value = (source[this.at++] as number) & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.at >= this.end) return -1;
      const byte = source[this.at++] as number;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return -1;
  }

  /** Reads a string (RFC 7541, 5.2) into the block's own bytes. Returns false if it breaks the rules. */
  string(fields: FieldBlock): boolean {
    if (this.at >= this.end) return false;
    const { source } = this;
    const huffman = (source[this.at] as number) >= 0x80;
    const length = this.integer(7);
    if (length < 0 || length > this.end - this.at) return false;
    const start = fields.writeAt;
    const from = this.at;
    this.at += length;
    this.wireStart = from;
    this.wireLength = length;
    this.isHuffman = huffman;
    this.isPrintable = false;
    this.stringStart = start;
    const room = huffman ? ((length * 8) / 5 + 2) | 0 : length;
    if (room > this.#stringRoom) {
      // The string fits neither the table nor the list, so only its length matters.
      this.isTooLong = true;
      this.stringLength = length;
      fields.reserve(length);
      return true;
    }
    fields.reserve(room);
    const bytes = fields.bytes;
    if (huffman) {
      const end = decodeHuffman(source, from, from + length, bytes, start);
      if (end < 0) return false;
      this.isPrintable = !hasLongCode;
      this.stringLength = end - start;
      fields.writeAt = end;
      return true;
    }
    for (let i = 0; i < length; i++) bytes[start + i] = source[from + i] as number;
    this.stringLength = length;
    fields.writeAt = start + length;
    return true;
  }

  /**
   * Removes the spaces around the last string read and returns how many there were. The string can no longer be
   * forwarded in its encoded form then.
   */
  strip(bytes: Uint8Array): number {
    const before = this.stringLength;
    const end = cutSpaces(bytes, this.stringStart, this.stringStart + before);
    this.stringStart = skipSpaces(bytes, this.stringStart, end);
    this.stringLength = end - this.stringStart;
    this.wireLength = 0;
    this.isHuffman = false;
    return before - this.stringLength;
  }
}
