/** Shorter delays of a timer are usual, and cost no peer anything. */
const usualMs = 250;

/** Calls `late` after `ms` in which this process had time for its sockets, unless the function that it returns is called before. */
export type AfterTime = (ms: number, late: () => void) => () => void;

/**
 * How long this process did not get to its sockets, because it was busy or was not run. What a peer sent in that time lies
 * unread: whoever ends a peer for silence must not count it.
 */
export class LostTime {
  readonly #everyMs: number;
  #turnedMs: number;
  #lostMs = 0;

  /** `everyMs`: how often `turn` is called by a process that has time. */
  constructor(everyMs: number, nowMs: number) {
    this.#everyMs = everyMs;
    this.#turnedMs = nowMs;
  }

  /** The process got to its timers. Returns the milliseconds that were lost since it did before. */
  turn(nowMs: number): number {
    const lostMs = this.#lateMs(nowMs);
    this.#turnedMs = nowMs;
    this.#lostMs += lostMs;
    return lostMs;
  }

  /** All milliseconds that were lost until now. */
  totalMs(nowMs: number): number {
    return this.#lostMs + this.#lateMs(nowMs);
  }

  #lateMs(nowMs: number): number {
    const lateMs = nowMs - this.#turnedMs - this.#everyMs;
    return lateMs > usualMs ? lateMs : 0;
  }
}
