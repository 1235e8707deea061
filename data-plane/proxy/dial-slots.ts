/** Limits how many connections are dialled at once. A caller that gets no slot is called, in turn, when one is free. */
export class DialSlots {
  readonly #max: number;
  readonly #wanting = new Set<() => void>();
  #taken = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Returns false if no slot is free; `retry` is then called once when there may be one. */
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
