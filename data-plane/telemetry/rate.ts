/** Allows a number of events per second, and a few more at once after a quiet time. */
export class Rate {
  readonly #perSecond: number;
  #left: number;
  #atMs = Number.NEGATIVE_INFINITY;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#left = perSecond;
  }

  /** Returns false if this is one too many. `nowMs` must be monotonic. */
  take(nowMs: number): boolean {
    const earned = ((nowMs - this.#atMs) * this.#perSecond) / 1000;
    this.#left = Math.min(this.#perSecond, this.#left + Math.max(0, earned));
    this.#atMs = nowMs;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
