/** HPACK as RFC 7541 says it, one string at a time and with nothing remembered: what the engine's decoder is held to. */
import { findName, nameText } from "../../data-plane/http2/field-names.js";
import { decoded } from "../../data-plane/http2/hpack-decoder.js";
import { tableBytesMax } from "../../data-plane/http2/hpack-table.js";
import { decodeHuffman } from "../../data-plane/http2/huffman.js";
import type { HpackDecoderLimits } from "../../data-plane/http2/list-count.js";
import {
  staticEntries,
  staticName,
  staticValueLength,
  staticValueStart,
  staticValues,
} from "../../data-plane/http2/static-table.js";

export interface PlainField {
  readonly name: string;
  readonly value: string;
  readonly never: boolean;
}

/** What is wrong with a block, thrown. */
class Malformed extends Error {}

const size = ({ name, value }: PlainField): number => name.length + value.length + 32;

export class PlainDecoder {
  readonly #limits: HpackDecoderLimits;
  /** The newest entry first. */
  readonly table: PlainField[] = [];
  maxSize = tableBytesMax;
  #held = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(limits: HpackDecoderLimits) {
    this.#limits = limits;
  }

  decode(bytes: Uint8Array): { readonly what: number; readonly fields: readonly PlainField[] } {
    this.#bytes = bytes;
    this.#at = 0;
    const fields: PlainField[] = [];
    let [listBytes, updates] = [0, 0];
    try {
      while (this.#at < bytes.length) {
        const first = bytes[this.#at] as number;
        if (first >= 0x20 && first < 0x40) {
          const bound = this.#integer(5);
          if (bound > tableBytesMax || fields.length > 0 || ++updates > 2) throw new Malformed();
          this.maxSize = bound;
          this.#evictTo(bound);
          continue;
        }
        const field = this.#field(first);
        fields.push(field);
        listBytes += size(field);
        if (listBytes >= 4 * this.#limits.headerListBytesMax) return { what: decoded.flood, fields };
      }
    } catch (error) {
      if (error instanceof Malformed) return { what: decoded.error, fields };
      throw error;
    }
    const isLarge = fields.length > this.#limits.headerFieldsMax || listBytes > this.#limits.headerListBytesMax;
    return { what: isLarge ? decoded.tooLarge : decoded.ok, fields };
  }

  #field(first: number): PlainField {
    if (first >= 0x80) return { ...this.#entry(this.#integer(7)), never: false };
    const isIndexed = first >= 0x40;
    const index = this.#integer(isIndexed ? 6 : 4);
    const name = index === 0 ? this.#string() : this.#entry(index).name;
    const field = { name, value: this.#string(), never: !isIndexed && first >= 0x10 };
    if (isIndexed) {
      this.#evictTo(this.maxSize - size(field));
      if (size(field) > this.maxSize) return field;
      this.table.unshift(field);
      this.#held += size(field);
    }
    return field;
  }

  #entry(index: number): PlainField {
    if (index < 1 || index > staticEntries + this.table.length) throw new Malformed();
    return index <= staticEntries ? staticField(index) : (this.table[index - staticEntries - 1] as PlainField);
  }

  #evictTo(bound: number): void {
    while (this.#held > Math.max(bound, 0)) this.#held -= size(this.table.pop() as PlainField);
  }

  #byte(): number {
    if (this.#at >= this.#bytes.length) throw new Malformed();
    return this.#bytes[this.#at++] as number;
  }

  #integer(bits: number): number {
    const mask = (1 << bits) - 1;
    let value = this.#byte() & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new Malformed();
  }

  #string(): string {
    const isHuffman = this.#at < this.#bytes.length && (this.#bytes[this.#at] as number) >= 0x80;
    const length = this.#integer(7);
    const start = this.#at;
    this.#at += length;
    if (this.#at > this.#bytes.length) throw new Malformed();
    if (!isHuffman) return Buffer.from(this.#bytes.subarray(start, this.#at)).toString("latin1");
    const target = Buffer.alloc(2 * length + 8);
    const end = decodeHuffman(this.#bytes, start, this.#at, target, 0);
    if (end < 0) throw new Malformed();
    return target.toString("latin1", 0, end);
  }
}

export function staticField(index: number): PlainField {
  const start = staticValueStart[index] as number;
  const value = Buffer.from(staticValues.subarray(start, start + (staticValueLength[index] as number)));
  return { name: nameText(staticName[index] as number), value: value.toString("latin1"), never: false };
}

/** The first entry of the static table with this name, or 0. */
export function staticIndexOf(name: string): number {
  const bytes = Buffer.from(name, "latin1");
  const id = findName(bytes, 0, bytes.length);
  return id <= staticEntries ? id : 0;
}
