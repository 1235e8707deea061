/** Of `MemoryBudget.maxBytes`, this share at most is for copies that a retry could need. */
const replayShare = 0.25;

/**
 * What all connections of a process hold for peers that do not take it yet: output, requests that wait, copies for a
 * retry. It only counts; who is told that it is full sees to it that it is not.
 */
export class MemoryBudget {
  readonly maxBytes: number;
  usedBytes = 0;
  /** The most that was ever used. */
  peakBytes = 0;
  /** Of `usedBytes`: copies for a retry. */
  replayBytes = 0;
  /** Called each time that bytes are taken while it is full; must not change streams at once. */
  onFull: (() => void) | undefined;

  /** Infinity: it only counts. */
  constructor(maxBytes = Number.POSITIVE_INFINITY) {
    this.maxBytes = maxBytes;
  }

  get isFull(): boolean {
    return this.usedBytes >= this.maxBytes;
  }

  take(bytes: number): void {
    this.usedBytes += bytes;
    if (this.usedBytes > this.peakBytes) this.peakBytes = this.usedBytes;
    if (this.usedBytes >= this.maxBytes) this.onFull?.();
  }

  give(bytes: number): void {
    this.usedBytes -= bytes;
  }

  /** Takes bytes for a copy that can be done without. False: there is no room for such. */
  takeReplay(bytes: number): boolean {
    if (this.isFull || this.replayBytes + bytes > this.maxBytes * replayShare) return false;
    this.replayBytes += bytes;
    this.take(bytes);
    return true;
  }

  giveReplay(bytes: number): void {
    this.replayBytes -= bytes;
    this.give(bytes);
  }
}
