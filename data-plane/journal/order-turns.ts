/** Lets the writes of one order key take their places in the journal one after the other, within this process. */
export class OrderTurns {
  readonly #last = new Map<string, Promise<void>>();

  /** Resolves, when it is this write's turn, to a function that ends the turn. */
  async take(key: string): Promise<() => void> {
    const before = this.#last.get(key);
    let end = (): void => {};
    const own = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#last.set(key, own);
    await before;
    return () => {
      if (this.#last.get(key) === own) this.#last.delete(key);
      end();
    };
  }
}
