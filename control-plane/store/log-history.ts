/** The records of a log by number, with gaps where records are lost. Pure. */
import type { Signed } from "../../core/model.js";

/** A range of numbers whose records are lost, both ends included. */
export interface MissingRange {
  readonly from: number;
  readonly to: number;
}

export class LogHistory<Body> {
  readonly #keyOf: (body: Body) => number;
  /** In ascending order of their numbers. */
  #records = new Map<number, Signed<Body>>();
  #headKey = 0;
  #gaps: readonly MissingRange[] = [];
  #view: readonly Signed<Body>[] | undefined;

  constructor(keyOf: (body: Body) => number) {
    this.#keyOf = keyOf;
  }

  /** The number of the last record; 0: there is none. */
  get headKey(): number {
    return this.#headKey;
  }

  find(key: number): Signed<Body> | undefined {
    return this.#records.get(key);
  }

  /** Returns the records, oldest first. The array is not changed afterwards. */
  list(): readonly Signed<Body>[] {
    this.#view ??= Object.freeze([...this.#records.values()]);
    return this.#view;
  }

  /** Returns the ranges below the head that have no record, lowest first. */
  gaps(): readonly MissingRange[] {
    return this.#gaps;
  }

  /** Puts a chain of records behind everything below its first one. Returns the records that it replaced. */
  extend(chain: readonly Signed<Body>[]): readonly Signed<Body>[] {
    const [first, last] = [chain[0], chain.at(-1)];
    if (first === undefined || last === undefined) return [];
    const from = this.#keyOf(first.body);
    const replaced =
      from > this.#headKey ? [] : [...this.#records.values()].filter(({ body }) => this.#keyOf(body) >= from);
    for (const { body } of replaced) this.#records.delete(this.#keyOf(body));
    const leavesGap = this.#headKey + 1 < from || (from > 1 && !this.#records.has(from - 1));
    for (const record of chain) this.#records.set(this.#keyOf(record.body), record);
    this.#headKey = this.#keyOf(last.body);
    this.#view = undefined;
    if (leavesGap || replaced.length > 0) this.#findGaps();
    return replaced;
  }

  /** Puts records into gaps. */
  fill(records: readonly Signed<Body>[]): void {
    for (const record of records) this.#records.set(this.#keyOf(record.body), record);
    this.#records = new Map([...this.#records].sort(([a], [b]) => a - b));
    this.#view = undefined;
    this.#findGaps();
  }

  /** Removes a record below the head that belongs to a branch outside the history. */
  remove(key: number): void {
    if (key >= this.#headKey || !this.#records.delete(key)) return;
    this.#view = undefined;
    this.#findGaps();
  }

  #findGaps(): void {
    const gaps: MissingRange[] = [];
    let next = 1;
    for (const key of this.#records.keys()) {
      if (key > next) gaps.push({ from: next, to: key - 1 });
      next = key + 1;
    }
    this.#gaps = gaps;
  }
}
