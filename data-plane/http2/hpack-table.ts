/** Bytes that an entry's size counts on top of its name and value (RFC 7541, 4.1). */
export const entryOverhead = 32;
/** The largest dynamic table that either side of this engine uses. */
export const tableBytesMax = 4096;
export const entriesMax = tableBytesMax / entryOverhead;

/**
 * Size of the ring: room for the live entries, for one being added, and for what a wrap leaves unused. The bytes of an
 * evicted entry stay readable until more than `tableBytesMax` bytes were added after its eviction.
 */
export const ringBytes = 3 * tableBytesMax;

/** From this length on, one call into native code costs less than a loop, if the call needs no view. */
const nearCopyMin = 32;

/** One more than is used, so that a slot's place is a shift away. */
export const tableColumns = 8;
const column = {
  nameId: 0,
  nameStart: 1,
  nameLength: 2,
  valueStart: 3,
  valueLength: 4,
  hash: 5,
  flags: 6,
} as const;

/** A slot's size has 13 bits; the two above say whether the slot has a text or a link to be cleared. */
const sizeMask = 0x1fff;
const hasText = 0x4000;
const hasLink = 0x8000;

/**
 * The dynamic table of HPACK (RFC 7541, 2.3.2) as a ring. Entries are numbered from 1; the live ones are the last
 * `count`. A name with an id is not stored.
 */
export class HpackTable {
  bytes: Uint8Array;
  readonly #base: number;
  /** Each slot's numbers, in the order of a field's row. */
  readonly rows = new Int32Array(entriesMax * tableColumns);
  /**
   * Each slot holds its entry's size in the table, which counts the spaces that were removed from around the value. The
   * sizes are close together, apart from the rows: an insertion reads the size of the oldest entry and nothing else of it.
   */
  readonly #sizes = new Uint16Array(entriesMax);
  readonly #texts: Array<string | undefined> = new Array<string | undefined>(entriesMax).fill(undefined);
  /** For each slot: an encoder whose table has the same field, and its entry number there. */
  readonly #linkOwner: Array<object | null> = new Array<object | null>(entriesMax).fill(null);
  readonly #linkEntry = new Int32Array(entriesMax);
  /** The number of the newest entry. */
  inserted = 0;
  count = 0;
  size = 0;
  maxSize = tableBytesMax;
  #ringAt = 0;

  /** The ring is `bytes[base, base + ringBytes)`. */
  constructor(bytes: Uint8Array, base: number) {
    this.bytes = bytes;
    this.#base = base;
  }

  isLive(entry: number): boolean {
    return entry > this.inserted - this.count && entry <= this.inserted;
  }

  nameId(entry: number): number {
    return this.#cell(entry, column.nameId);
  }

  nameStart(entry: number): number {
    return this.#cell(entry, column.nameStart);
  }

  nameLength(entry: number): number {
    return this.#cell(entry, column.nameLength);
  }

  valueStart(entry: number): number {
    return this.#cell(entry, column.valueStart);
  }

  valueLength(entry: number): number {
    return this.#cell(entry, column.valueLength);
  }

  hash(entry: number): number {
    return this.#cell(entry, column.hash);
  }

  flags(entry: number): number {
    return this.#cell(entry, column.flags);
  }

  /** Returns the entry's size in the table, which is also its list size in a block. */
  sizeOf(entry: number): number {
    return (this.#sizes[entry & (entriesMax - 1)] as number) & sizeMask;
  }

  #cell(entry: number, which: number): number {
    return this.rows[(entry & (entriesMax - 1)) * tableColumns + which] as number;
  }

  text(entry: number): string | undefined {
    const slot = entry & (entriesMax - 1);
    return ((this.#sizes[slot] as number) & hasText) === 0 ? undefined : this.#texts[slot];
  }

  keepText(entry: number, text: string): void {
    const slot = entry & (entriesMax - 1);
    this.#texts[slot] = text;
    this.#sizes[slot] = (this.#sizes[slot] as number) | hasText;
  }

  /** Returns the entry of `owner`'s table that holds the same field as the live entry `entry` here, or 0. */
  linked(entry: number, owner: object): number {
    const slot = entry & (entriesMax - 1);
    if (((this.#sizes[slot] as number) & hasLink) === 0) return 0;
    return this.#linkOwner[slot] === owner ? (this.#linkEntry[slot] as number) : 0;
  }

  link(entry: number, owner: object, other: number): void {
    const slot = entry & (entriesMax - 1);
    this.#linkOwner[slot] = owner;
    this.#linkEntry[slot] = other;
    this.#sizes[slot] = (this.#sizes[slot] as number) | hasLink;
  }

  /** Renumbers the entries from low numbers. Nothing may still refer to the old numbers. */
  renumber(): void {
    this.inserted = entriesMax + (this.inserted & (entriesMax - 1));
  }

  setMaxSize(bytes: number): void {
    this.maxSize = bytes;
    this.#evictTo(bytes);
  }

  #evictTo(size: number): void {
    while (this.size > size) {
      const oldest = this.inserted - this.count + 1;
      this.size -= this.sizeOf(oldest);
      this.count--;
    }
  }

  /**
   * Adds a field and returns its entry number. A field larger than the table empties it and returns 0 (RFC 7541, 4.4).
   * A name with an id is not read. `stripped`: bytes removed from around the value, which count in the entry's size.
   */
  insert(
    nameId: number,
    nameSource: Uint8Array,
    nameStart: number,
    nameLength: number,
    valueSource: Uint8Array,
    valueStart: number,
    valueLength: number,
    hash: number,
    flags: number,
    stripped: number,
  ): number {
    const size = nameLength + valueLength + stripped + entryOverhead;
    if (size > this.maxSize) {
      this.#evictTo(0);
      return 0;
    }
    this.#evictTo(this.maxSize - size);
    const stored = (nameId === 0 ? nameLength : 0) + valueLength;
    if (this.#ringAt + stored > ringBytes) this.#ringAt = 0;
    let to = this.#base + this.#ringAt;
    this.#ringAt += stored;
    const bytes = this.bytes;
    const ownName = to;
    if (nameId === 0) for (let i = 0; i < nameLength; i++) bytes[to++] = nameSource[nameStart + i] as number;
    const ownValue = to;
    if (valueSource === bytes && valueLength > nearCopyMin) bytes.copyWithin(to, valueStart, valueStart + valueLength);
    else for (let i = 0; i < valueLength; i++) bytes[to++] = valueSource[valueStart + i] as number;
    const entry = ++this.inserted;
    this.count++;
    this.size += size;
    const slot = entry & (entriesMax - 1);
    const row = slot * tableColumns;
    const rows = this.rows;
    rows[row] = nameId;
    rows[row + 1] = ownName;
    rows[row + 2] = nameLength;
    rows[row + 3] = ownValue;
    rows[row + 4] = valueLength;
    rows[row + 5] = hash;
    rows[row + 6] = flags;
    const before = this.#sizes[slot] as number;
    if ((before & hasText) !== 0) this.#texts[slot] = undefined;
    if ((before & hasLink) !== 0) this.#linkOwner[slot] = null;
    this.#sizes[slot] = size;
    return entry;
  }
}
