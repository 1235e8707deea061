import type { MemoryBudget } from "../../http2/memory-budget.js";
import { shortCopyMax } from "../../http2/output.js";
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
    if (length <= shortCopyMax) for (let i = 0; i < length; i++) block[at + i] = bytes[start + i] as number;
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
