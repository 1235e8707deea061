import { cell, cells, FieldBlock } from "../../http2/field-block.js";
import { fieldFlag } from "../../http2/field-classes.js";
import { findName, nameText } from "../../http2/field-names.js";
import type { MemoryBudget } from "../../http2/memory-budget.js";
import { staticName, staticValueLength, staticValueStart, staticValues } from "../../http2/static-table.js";
import { giveBlock, takeBlock } from "./small-blocks.js";

/** Kept for a retry; a request longer than this is sent once. */
const replayBytesMax = 64 * 1024;

export const noBytes = Buffer.alloc(0);

/** The messages of a request, while they may have to be sent (again). They count in the budget until released. */
export class KeptMessages {
  readonly #budget: MemoryBudget;
  /** They are `block[0, bytes)`. */
  block: Buffer = noBytes;
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
    const to = this.bytes + length;
    if (to > this.block.length) this.#widen(to);
    const { block, bytes: at } = this;
    if (length <= 64) for (let i = 0; i < length; i++) block[at + i] = bytes[start + i] as number;
    else block.set(bytes.subarray(start, end), at);
    this.bytes = to;
  }

  /** To twice its length at least: many short messages are not copied again and again. */
  #widen(length: number): void {
    const before = this.block;
    this.block = takeBlock(Math.max(length, Math.min(2 * before.length, replayBytesMax)));
    if (this.bytes > 0) this.block.set(before.subarray(0, this.bytes));
    giveBlock(before);
  }

  /** Forgets them: nothing may be done with it any more. */
  release(): void {
    this.#budget.giveReplay(this.#replayBytes);
    this.#budget.give(this.bytes - this.#replayBytes);
    giveBlock(this.block);
    this.block = noBytes;
  }
}

/** As a name's id: the field is an entry of the static table, whose index follows. */
const staticMark = 255;
/** After the last field. */
const endMark = 254;
/** Of a call whose fields were not kept. */
export const noFields = Buffer.of(endMark);
const restored = new FieldBlock();
/** Ids of the names that were asked for; policy names them, so they are few. */
const ids = new Map<string, number>();
const namesMax = 1000;

/**
 * The fields of a request that are not dropped, in a block of `takeBlock`: the one they came in is used
 * again for the next request. For each: id of the name, flags, [length and bytes of a name without id,] length and
 * bytes of the value.
 */
export function keepFields(fields: FieldBlock): Buffer {
  const { rows, bytes, count } = fields;
  const kept = takeBlock(sizeOf(rows, count));
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
  kept[at] = endMark;
  return kept;
}

function sizeOf(rows: Int32Array, count: number): number {
  let size = 1;
  for (let field = 0, row = 0; field < count; field++, row += cells) {
    if (((rows[row + cell.flags] as number) & fieldFlag.dropped) !== 0) continue;
    if ((rows[row + cell.entry] as number) < 0) size += 2;
    else size += (rows[row] === 0 ? 6 + (rows[row + 2] as number) : 4) + (rows[row + 4] as number);
  }
  return size;
}

function put(kept: Buffer, at: number, bytes: Uint8Array, start: number, length: number): number {
  kept[at] = length >>> 8;
  kept[at + 1] = length;
  for (let i = 0; i < length; i++) kept[at + 2 + i] = bytes[start + i] as number;
  return at + 2 + length;
}

/** All values of one of the fields, joined with ","; undefined: there is none. */
export function keptHeader(kept: Buffer, name: string): string | undefined {
  const wanted = idOf(name);
  let joined: string | undefined;
  for (let at = 0; kept[at] !== endMark; ) {
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

function lengthAt(kept: Buffer, at: number): number {
  return ((kept[at] as number) << 8) | (kept[at + 1] as number);
}

function latin1(kept: Buffer, start: number, end: number): string {
  return kept.toString("latin1", start, end);
}

function join(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before},${value}`;
}

/** The fields again, without `grpc-timeout`: less time is left. The block is the same one each time. */
export function restoreFields(kept: Buffer): FieldBlock {
  restored.clear();
  forEachKept(kept, (name, value, flags) => {
    if (name !== "grpc-timeout") restored.add(name, value, flags);
  });
  return restored;
}

function forEachKept(kept: Buffer, take: (name: string, value: string, flags: number) => void): void {
  for (let at = 0; kept[at] !== endMark; ) {
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
      const length = lengthAt(kept, at);
      name = kept.toString("latin1", at + 2, at + 2 + length);
      at += 2 + length;
    }
    const length = lengthAt(kept, at);
    take(name, kept.toString("latin1", at + 2, at + 2 + length), flags);
    at += 2 + length;
  }
}

function staticText(index: number): string {
  const start = staticValueStart[index] as number;
  return Buffer.from(staticValues).toString("latin1", start, start + (staticValueLength[index] as number));
}
