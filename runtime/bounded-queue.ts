/** A queue between a writer that does not wait and a reader that does. When it is full, the oldest item is dropped. */
export class BoundedQueue<Item> implements AsyncIterable<Item> {
  readonly #itemsMax: number;
  readonly #items: Item[] = [];
  #wake: (() => void) | undefined;
  #closed = false;
  #dropped = 0;

  constructor(itemsMax: number) {
    this.#itemsMax = itemsMax;
  }

  /** The number of items that were dropped so far. */
  get dropped(): number {
    return this.#dropped;
  }

  push(item: Item): void {
    if (this.#closed) return;
    this.#items.push(item);
    if (this.#items.length > this.#itemsMax) {
      this.#items.shift();
      this.#dropped += 1;
    }
    this.#wake?.();
  }

  /** Ends the iteration and drops the items that were not read. */
  close(): void {
    this.#closed = true;
    this.#items.length = 0;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item> {
    while (!this.#closed) {
      const item = this.#items.shift();
      if (item !== undefined) {
        yield item;
        continue;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
