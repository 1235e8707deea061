import { cell, cells, FieldBlock } from "../../http2/field-block.js";
import { fieldFlag } from "../../http2/field-classes.js";
import { findName, nameText } from "../../http2/field-names.js";
import type { MemoryBudget } from "../../http2/memory-budget.js";
import { staticName, staticValueLength, staticValueStart, staticValues } from "../../http2/static-table.js";

/** Kept for a retry; a request longer than this is sent once. */
const replayBytesMax = 64 * 1024;

export const noBytes = new Uint8Array(0);

/** The messages of a request, while they may have to be sent (again). They count in the budget until released. */
export class KeptMessages {
  readonly chunks: Uint8Array[] = [];
  readonly #budget: MemoryBudget;
  bytes = 0;
  /** Of `bytes`: copies of what has been sent already. */
  #replayBytes = 0;

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  /** Keeps what waits to be sent for the first time. False: there is no room for it. */
  addWaiting(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#budget.isFull) return false;
    this.#budget.take(end - start);
    this.#copy(bytes, start, end);
    return true;
  }

  /** Keeps a copy of what is sent now. False: it is too long, or can be done without: keep nothing any more. */
  addSent(bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    if (this.bytes + length > replayBytesMax || !this.#budget.takeReplay(length)) return false;
    this.#replayBytes += length;
    this.#copy(bytes, start, end);
    return true;
  }

  #copy(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (length === 0) return;
    const copy = Buffer.allocUnsafe(length);
    if (length <= 64) for (let i = 0; i < length; i++) copy[i] = bytes[start + i] as number;
    else copy.set(bytes.subarray(start, end));
    this.bytes += length;
    this.chunks.push(copy);
  }

  release(): void {
    this.#budget.giveReplay(this.#replayBytes);
    this.#budget.give(this.bytes - this.#replayBytes);
  }
}

/** As a name's id: the field is an entry of the static table, whose index follows. */
const staticMark = 255;
const restored = new FieldBlock();
/** Ids of the names that were asked for; policy names them, so they are few. */
const ids = new Map<string, number>();
const namesMax = 1000;

/**
 * The fields of a request that are not dropped, in a few bytes of their own: the block they came in is used
 * again for the next one. For each: id of the name, flags, [length and bytes of a name without id,] length and
 * bytes of the value.
 */
export function keepFields(fields: FieldBlock): Uint8Array {
  const { rows, bytes, count } = fields;
  const kept = Buffer.allocUnsafe(sizeOf(rows, count));
  let at = 0;
  for (let field = 0, row = 0; field < count; field++, row += cells) {
    const flags = rows[row + cell.flags] as number;
    if ((flags & fieldFlag.dropped) !== 0) continue;
    const entry = rows[row + cell.entry] as number;
    if (entry < 0) {
      kept[at++] = staticMark;
      kept[at++] = -entry;
      continue;
    }
    const id = rows[row] as number;
    kept[at++] = id;
    kept[at++] = flags & fieldFlag.neverIndexed;
    if (id === 0) at = put(kept, at, bytes, rows[row + 1] as number, rows[row + 2] as number);
    at = put(kept, at, bytes, rows[row + 3] as number, rows[row + 4] as number);
  }
  return kept;
}

function sizeOf(rows: Int32Array, count: number): number {
  let size = 0;
  for (let field = 0, row = 0; field < count; field++, row += cells) {
    if (((rows[row + cell.flags] as number) & fieldFlag.dropped) !== 0) continue;
    if ((rows[row + cell.entry] as number) < 0) size += 2;
    else size += (rows[row] === 0 ? 6 + (rows[row + 2] as number) : 4) + (rows[row + 4] as number);
  }
  return size;
}

function put(kept: Uint8Array, at: number, bytes: Uint8Array, start: number, length: number): number {
  kept[at] = length >>> 8;
  kept[at + 1] = length;
  for (let i = 0; i < length; i++) kept[at + 2 + i] = bytes[start + i] as number;
  return at + 2 + length;
}

/** All values of one of the fields, joined with ","; undefined: there is none. */
export function keptHeader(kept: Uint8Array, name: string): string | undefined {
  const wanted = idOf(name);
  let joined: string | undefined;
  for (let at = 0; at < kept.length; ) {
    const id = kept[at] as number;
    if (id === staticMark) {
      const index = kept[at + 1] as number;
      if (wanted > 0 && staticName[index] === wanted) joined = join(joined, staticText(index));
      at += 2;
      continue;
    }
    at += 2;
    let isWanted = id === wanted;
    if (id === 0) {
      const length = lengthAt(kept, at);
      isWanted &&= length === name.length && latin1(kept, at + 2, at + 2 + length) === name;
      at += 2 + length;
    }
    const length = lengthAt(kept, at);
    at += 2;
    if (isWanted) joined = join(joined, latin1(kept, at, at + length));
    at += length;
  }
  return joined;
}

/** 0: a name without an id, which stands in the kept bytes itself. */
function idOf(name: string): number {
  const known = ids.get(name);
  if (known !== undefined) return known;
  const bytes = Buffer.from(name, "latin1");
  const id = findName(bytes, 0, bytes.length);
  if (ids.size >= namesMax) ids.clear();
  ids.set(name, id);
  return id;
}

function lengthAt(kept: Uint8Array, at: number): number {
  return ((kept[at] as number) << 8) | (kept[at + 1] as number);
}

function latin1(kept: Uint8Array, start: number, end: number): string {
  return Buffer.from(kept.buffer, kept.byteOffset + start, end - start).toString("latin1");
}

function join(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before},${value}`;
}

/** The fields again, without `grpc-timeout`: less time is left. The block is the same one each time. */
export function restoreFields(kept: Uint8Array): FieldBlock {
  restored.clear();
  forEachKept(kept, (name, value, flags) => {
    if (name !== "grpc-timeout") restored.add(name, value, flags);
  });
  return restored;
}

function forEachKept(kept: Uint8Array, take: (name: string, value: string, flags: number) => void): void {
  const text = Buffer.from(kept.buffer, kept.byteOffset, kept.length);
  for (let at = 0; at < kept.length; ) {
    const id = kept[at] as number;
    if (id === staticMark) {
      const index = kept[at + 1] as number;
      take(nameText(staticName[index] as number), staticText(index), 0);
      at += 2;
      continue;
    }
    const flags = kept[at + 1] as number;
    at += 2;
    let name = nameText(id);
    if (id === 0) {
      const length = text.readUInt16BE(at);
      name = text.toString("latin1", at + 2, at + 2 + length);
      at += 2 + length;
    }
    const length = text.readUInt16BE(at);
    take(name, text.toString("latin1", at + 2, at + 2 + length), flags);
    at += 2 + length;
  }
}

function staticText(index: number): string {
  const start = staticValueStart[index] as number;
  return Buffer.from(staticValues).toString("latin1", start, start + (staticValueLength[index] as number));
}
