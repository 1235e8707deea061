/** Reads of one write in a log whose replicas may lag: what they have is a prefix, and that they have nothing proves nothing. */
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

/** A write waits so long for what it knows to be in the log. */
const patienceMs = 2000;
export const poll = { msMin: 2, msMax: 100 };

export class JournalReads {
  readonly #deps: JournalReadsDeps;
  /** The key of the write, and those of entries that were read. */
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

  /** The first entry in (after, until] of the key of `until` that expects `after`; undefined: the log could not be read up to it. */
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

  /** Whether it is known to be a valid entry of the key of `of`. */
  async isKnown(sequence: number, of: number): Promise<boolean> {
    const { store } = this.#deps;
    const key = this.keyOf(of);
    if (store.valid.get(sequence) === key) return true;
    return (await this.once(() => store.settledBy(sequence, key)))?.kind === "outcome";
  }

  /** The result of a read, or undefined if NATS cannot be asked. */
  async once<Result>(read: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await read();
    } catch (error) {
      if (isAshlarError(error) && error.code !== "internal") return undefined;
      throw error;
    }
  }

  /** Repeats a read until it finds something: a replica may lag. */
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
