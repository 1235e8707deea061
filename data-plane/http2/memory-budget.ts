/** Of `MemoryBudget.maxBytes`, this share at most is for copies that a retry could need. */
const replayShare = 0.25;
/** From this share on room is made. Less than the window of one connection may take, so that none stands still below it. */
const tightShare = 0.875;

/**
 * What all connections of a process hold for peers that do not take it yet: output, requests that wait, copies for a
 * retry. It only counts; who is told that it is tight makes room.
 */
export class MemoryBudget {
  readonly maxBytes: number;
  usedBytes = 0;
  /** The most that was ever used. */
  peakBytes = 0;
  /** Of `usedBytes`: copies for a retry. */
  replayBytes = 0;
  /** Called each time that bytes are taken while it is tight; must not change streams at once. */
  onTight: (() => void) | undefined;
  readonly #tightBytes: number;

  /** Infinity: it only counts. */
  constructor(maxBytes = Number.POSITIVE_INFINITY) {
    this.maxBytes = maxBytes;
    this.#tightBytes = maxBytes * tightShare;
  }

  /** Room is to be made. */
  get isTight(): boolean {
    return this.usedBytes >= this.#tightBytes;
  }

  /** Nothing new is to be begun. */
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

  /** Takes bytes for a copy that can be done without. False: there is no room for such. */
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
