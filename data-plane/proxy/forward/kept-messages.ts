import type { MemoryBudget } from "../../http2/memory-budget.js";
import { shortCopyMax } from "../../http2/output.js";
import { giveBlock, takeBlock } from "./small-blocks.js";

/** The most bytes kept for a retry; a longer request is sent once. */
const replayBytesMax = 64 * 1024;

export const noBytes = Buffer.alloc(0);

/**
 * Keeps the messages of a request while they may have to be sent, or sent again. They count in the memory budget until
 * released.
 */
export class KeptMessages {
  readonly #budget: MemoryBudget;
  /** The kept bytes are `block[0, bytes)`. */
  block: Buffer = noBytes;
  bytes = 0;
  /** The part of `bytes` that has been sent already. */
  #replayBytes = 0;

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  /** Keeps bytes that wait to be sent for the first time. Returns false if there is no room. */
  addWaiting(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#budget.isFull) return false;
    this.#budget.take(end - start);
    this.#copy(bytes, start, end);
    return true;
  }

  /**
   * Keeps a copy of bytes that are sent now. Returns false if the request is too long or room is short: the caller then
   * keeps nothing more.
   */
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

  /** Grows the block to at least twice its length, so that many short messages are not copied again and again. */
  #widen(length: number): void {
    const before = this.block;
    this.block = takeBlock(Math.max(length, Math.min(2 * before.length, replayBytesMax)));
    if (this.bytes > 0) this.block.set(before.subarray(0, this.bytes));
    giveBlock(before);
  }

  /** Releases the messages. The object may not be used afterwards. */
  release(): void {
    this.#budget.giveReplay(this.#replayBytes);
    this.#budget.give(this.bytes - this.#replayBytes);
    giveBlock(this.block);
    this.block = noBytes;
  }
}
