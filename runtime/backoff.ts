/** Delays that double from `msMin` to `msMax`, each drawn between half and the whole of itself. */
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

  /** The next delay in milliseconds. */
  nextMs(): number {
    const ms = this.#ms;
    this.#ms = Math.min(ms * 2, this.#msMax);
    return ms * (0.5 + this.#random() / 2);
  }

  /** Starts again from `msMin`; only progress earns it. */
  reset(): void {
    this.#ms = this.#msMin;
  }
}
