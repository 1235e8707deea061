/** Delays of timers below this are usual and affect no peer, in milliseconds. */
const usualMs = 250;

/**
 * Calls `late` after `ms` in which this process could serve its sockets, unless the returned function is called before.
 */
export type AfterTime = (ms: number, late: () => void) => () => void;

/**
 * Measures how long this process could not serve its sockets because it was busy or not scheduled. What a peer sent in
 * that time is still unread, so a peer must not be disconnected for silence in that time.
 */
export class LostTime {
  readonly #everyMs: number;
  #turnedMs: number;
  #lostMs = 0;

  /** `everyMs`: how often `turn` is called while the process is not busy. */
  constructor(everyMs: number, nowMs: number) {
    this.#everyMs = everyMs;
    this.#turnedMs = nowMs;
  }

  /** Notes that the process got to its timers. Returns the milliseconds lost since the last call. */
  turn(nowMs: number): number {
    const lostMs = this.#lateMs(nowMs);
    this.#turnedMs = nowMs;
    this.#lostMs += lostMs;
    return lostMs;
  }

  /** Returns all milliseconds lost until now. */
  totalMs(nowMs: number): number {
    return this.#lostMs + this.#lateMs(nowMs);
  }

  #lateMs(nowMs: number): number {
    const lateMs = nowMs - this.#turnedMs - this.#everyMs;
    return lateMs > usualMs ? lateMs : 0;
  }
}
