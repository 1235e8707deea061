/**
 * A map that holds at most `entriesMax` entries. An entry that is set becomes the newest, whether it was there or not;
 * when there are too many, the oldest is dropped. Iteration goes from the oldest to the newest.
 */
export class BoundedMap<Key, Value> extends Map<Key, Value> {
  readonly #entriesMax: number;

  constructor(entriesMax: number) {
    super();
    this.#entriesMax = entriesMax;
  }

  override set(key: Key, value: Value): this {
    this.delete(key);
    super.set(key, value);
    if (this.size <= this.#entriesMax) return this;
    const oldest = this.keys().next();
    if (!oldest.done) this.delete(oldest.value);
    return this;
  }
}
