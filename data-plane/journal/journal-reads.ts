/**
 * Reads of one write in a log whose replicas may lag: each has a prefix of the log, so a missing message proves
 * nothing.
 */
import { isAshlarError } from "../../core/errors.js";
import { Backoff } from "../../runtime/backoff.js";
import type { Clock } from "../../runtime/clock.js";
import type { JournalStore } from "./journal-store.js";

export interface JournalReadsDeps {
  readonly store: JournalStore;
  readonly clock: Clock;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/** The milliseconds that a write waits for a record that it knows to be in the log. */
const patienceMs = 2000;
export const poll = { msMin: 2, msMax: 100 };

export class JournalReads {
  readonly #deps: JournalReadsDeps;
  /** The key of the write, and the keys of entries that were read. */
  readonly #key: string;
  readonly #keys = new Map<number, string>();

  constructor(deps: JournalReadsDeps, key: string) {
    this.#deps = deps;
    this.#key = key;
  }

  noteKey(sequence: number, key: string): void {
    this.#keys.set(sequence, key);
  }

  keyOf(sequence: number): string {
    return this.#keys.get(sequence) ?? this.#key;
  }

  /**
   * Returns the first entry in (after, until] of the key of `until` that expects `after`; undefined: the log could not
   * be read up to `until`.
   */
  async firstAfter(after: number, until: number): Promise<number | undefined> {
    let from = after + 1;
    return this.until(async () => {
      for (;;) {
        const next = await this.#deps.store.nextEntry(this.keyOf(until), from);
        if (next === undefined) return undefined;
        if (next.sequence >= until || next.entry.expected === after) return next.sequence;
        from = next.sequence + 1;
      }
    });
  }

  /** Returns whether an entry is known to be valid and of the key of `of`. */
  async isKnown(sequence: number, of: number): Promise<boolean> {
    const { store } = this.#deps;
    const key = this.keyOf(of);
    if (store.valid.get(sequence) === key) return true;
    return (await this.once(() => store.settledBy(sequence, key)))?.kind === "outcome";
  }

  /** Returns the result of a read, or undefined if NATS cannot be asked. */
  async once<Result>(read: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await read();
    } catch (error) {
      if (isAshlarError(error) && error.code !== "internal") return undefined;
      throw error;
    }
  }

  /** Repeats a read until it finds something, because a replica may lag. */
  async until<Result>(read: () => Promise<Result | undefined>): Promise<Result | undefined> {
    const { clock, random, signal } = this.#deps;
    const backoff = new Backoff(poll, random);
    const untilMs = clock.monotonicMs() + patienceMs;
    for (;;) {
      const found = await this.once(read);
      if (found !== undefined || clock.monotonicMs() >= untilMs || signal.aborted) return found;
      await clock.sleep(backoff.nextMs(), signal);
    }
  }
}
