/**
 * Delays that double from `msMin` to `msMax`. Each is drawn at random between half of the present value and the whole.
 */
export class Backoff {
  readonly #msMin: number;
  readonly #msMax: number;
  readonly #random: () => number;
  #ms: number;

  constructor(options: { readonly msMin: number; readonly msMax: number }, random: () => number = Math.random) {
    this.#msMin = options.msMin;
    this.#msMax = options.msMax;
    this.#random = random;
    this.#ms = options.msMin;
  }

  /** Returns the next delay in milliseconds. */
  nextMs(): number {
    const ms = this.#ms;
    this.#ms = Math.min(ms * 2, this.#msMax);
    return ms * (0.5 + this.#random() / 2);
  }

  /** Starts again from `msMin`. Call it only after real progress. */
  reset(): void {
    this.#ms = this.#msMin;
  }
}
