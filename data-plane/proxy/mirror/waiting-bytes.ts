import type { MemoryBudget } from "../../http2/memory-budget.js";

/** Keeps copies of bytes that wait for a connection. They count in the memory budget until they are released. */
export class WaitingBytes {
  readonly #budget: MemoryBudget;
  readonly #bytesMax: number;
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(budget: MemoryBudget, bytesMax: number) {
    this.#budget = budget;
    this.#bytesMax = bytesMax;
  }

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  /** Returns false if there is no room for them. */
  add(bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    if (length === 0) return true;
    if (this.#bytes + length > this.#bytesMax || !this.#budget.takeReplay(length)) return false;
    this.#bytes += length;
    this.#pieces.push(Buffer.from(bytes.subarray(start, end)));
    return true;
  }

  /** Releases the bytes and returns them. */
  take(): Buffer {
    const all = Buffer.concat(this.#pieces);
    this.#budget.giveReplay(this.#bytes);
    this.#pieces = [];
    this.#bytes = 0;
    return all;
  }
}
