import { type HpackTable, tableBytesMax } from "./hpack-table.js";

const buckets = 256;

/** Finds the entries of an encoder's table by name and value. */
export class EncoderIndex {
  readonly #table: HpackTable;
  /**
   * The newest entry per bucket of hashes, and for each slot the previous entry in the same bucket. A dead entry ends a
   * chain.
   */
  readonly #newest = new Int32Array(buckets);
  readonly #before = new Int32Array(tableBytesMax / 32);
  /** Hashes of fields recently sent as literals: a field that is sent again is worth an entry. */
  readonly #lately = new Int32Array(2 * buckets);
  /** For each known name: the newest entry that has it. */
  readonly #nameEntry = new Int32Array(256);

  constructor(table: HpackTable) {
    this.#table = table;
  }

  /** The newest entry whose name has this id, if it is live, or 0. */
  entryNamed(id: number): number {
    const entry = this.#nameEntry[id] as number;
    return this.#table.isLive(entry) ? entry : 0;
  }

  /**
   * Whether a field with this hash was written recently. Remembers the hash; each set holds two and replaces the older.
   */
  isWorthEntry(hash: number): boolean {
    const place = (hash & (buckets - 1)) * 2;
    const newer = this.#lately[place] as number;
    if (newer === hash || this.#lately[place + 1] === hash) return true;
    this.#lately[place + 1] = newer;
    this.#lately[place] = hash;
    return false;
  }

  /** The live entry with this name and value, or 0. */
  find(
    id: number,
    name: Uint8Array,
    nameStart: number,
    nameLength: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
    hash: number,
  ): number {
    const table = this.#table;
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

  /** Inserts a field into the table and returns its entry number, or 0 if the field is larger than the table. */
  insert(
    id: number,
    name: Uint8Array,
    nameStart: number,
    nameLength: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
    hash: number,
  ): number {
    const entry = this.#table.insert(id, name, nameStart, nameLength, value, valueStart, valueLength, hash, 0, 0);
    if (entry === 0) return 0;
    const bucket = hash & (buckets - 1);
    this.#before[entry & (this.#before.length - 1)] = this.#newest[bucket] as number;
    this.#newest[bucket] = entry;
    if (id !== 0) this.#nameEntry[id] = entry;
    return entry;
  }
}

function same(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[aStart + i] !== b[bStart + i]) return false;
  return true;
}
