/**
 * Own records that the stream acknowledged and that no stored record confirms yet (decision 0042: the chain of a
 * proxy).
 */
import { BoundedMap } from "../../core/bounded-map.js";
import type { Digest } from "../../core/digest.js";
import { type Confirmation, confirmationsMax } from "../../core/wire/journal/fields.js";

const recordsMax = 10_000;
/**
 * The milliseconds within which a confirming record should be stored; afterwards another record confirms the same ones,
 * too.
 */
const patienceMs = 10_000;

interface Taken {
  readonly digest: Digest;
  readonly atMs: number;
}

export class UnconfirmedRecords {
  /** Records that no record under way confirms. */
  readonly #free = new BoundedMap<number, Digest>(recordsMax);
  /** Records that a record under way confirms, in the order in which they were taken. */
  readonly #taken = new BoundedMap<number, Taken>(recordsMax);

  /**
   * Returns what the next record confirms, so that records under way at the same time do not all repeat the same
   * confirmations.
   */
  take(nowMs: number): readonly Confirmation[] {
    this.#takeBack(nowMs);
    const confirms: Confirmation[] = [];
    for (const [sequence, digest] of this.#free) {
      this.#free.delete(sequence);
      this.#taken.set(sequence, { digest, atMs: nowMs });
      if (confirms.push({ sequence, digest }) >= confirmationsMax) break;
    }
    return confirms;
  }

  /** Notes that a record is stored: those that it confirms need no other confirmation, and it needs one. */
  stored(sequence: number, digest: Digest, confirms: readonly Confirmation[]): void {
    for (const confirmed of confirms) {
      this.#taken.delete(confirmed.sequence);
      this.#free.delete(confirmed.sequence);
    }
    this.#free.set(sequence, digest);
  }

  #takeBack(nowMs: number): void {
    for (const [sequence, { digest, atMs }] of this.#taken) {
      if (nowMs - atMs < patienceMs) return;
      this.#taken.delete(sequence);
      this.#free.set(sequence, digest);
    }
  }
}
