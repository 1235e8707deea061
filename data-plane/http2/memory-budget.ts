/** The largest share of `MemoryBudget.maxBytes` for copies that a retry may need. */
const replayShare = 0.25;
/**
 * From this share on, room is made. One connection's window may exceed it, so no connection stands still with a full
 * window before room is made.
 */
const tightShare = 0.875;

/**
 * Counts the bytes that all connections of a process hold for peers that do not take them yet: output, waiting
 * requests, copies for a retry. It only counts; whoever is called when it is tight makes room.
 */
export class MemoryBudget {
  readonly maxBytes: number;
  usedBytes = 0;
  /** The highest `usedBytes` so far. */
  peakBytes = 0;
  /** The part of `usedBytes` that is copies for a retry. */
  replayBytes = 0;
  /** Called each time that bytes are taken while the budget is tight. It must not change streams before it returns. */
  onTight: (() => void) | undefined;
  readonly #tightBytes: number;

  /** With `maxBytes` infinite the budget only counts. */
  constructor(maxBytes = Number.POSITIVE_INFINITY) {
    this.maxBytes = maxBytes;
    this.#tightBytes = maxBytes * tightShare;
  }

  /** Whether room must be made. */
  get isTight(): boolean {
    return this.usedBytes >= this.#tightBytes;
  }

  /** Whether nothing new may be begun. */
  get isFull(): boolean {
    return this.usedBytes >= this.maxBytes;
  }

  take(bytes: number): void {
    this.usedBytes += bytes;
    if (this.usedBytes > this.peakBytes) this.peakBytes = this.usedBytes;
    if (this.usedBytes >= this.#tightBytes) this.onTight?.();
  }

  give(bytes: number): void {
    this.usedBytes -= bytes;
  }

  /** Takes bytes for a copy that the proxy can do without. Returns false if there is no room for it. */
  takeReplay(bytes: number): boolean {
    if (this.isTight || this.replayBytes + bytes > this.maxBytes * replayShare) return false;
    this.replayBytes += bytes;
    this.take(bytes);
    return true;
  }

  giveReplay(bytes: number): void {
    this.replayBytes -= bytes;
    this.give(bytes);
  }
}
