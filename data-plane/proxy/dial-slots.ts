/** Bounds how many connections are being made at once; who finds none free is called when one is, in turn. */
export class DialSlots {
  readonly #max: number;
  readonly #wanting = new Set<() => void>();
  #taken = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** False: `retry` is called once when there may be one. */
  take(retry: () => void): boolean {
    if (this.#taken >= this.#max) {
      this.#wanting.add(retry);
      return false;
    }
    this.#wanting.delete(retry);
    this.#taken++;
    return true;
  }

  give(): void {
    this.#taken--;
    for (const retry of this.#wanting) {
      if (this.#taken >= this.#max) return;
      this.#wanting.delete(retry);
      retry();
    }
  }
}
