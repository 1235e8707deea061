/** Counts the ends of journaled writes, for metrics. */
import type { WriteEnd } from "../../core/journal/write-steps.js";

/**
 * "applied": the application answered this call itself; "refused": answered with 3 or 8 before anything was appended.
 */
export type WriteOutcome = WriteEnd<never>["kind"] | "refused";

const outcomes: readonly WriteOutcome[] = [
  ...(["applied", "recorded", "conflict", "other-request", "in-flight", "blocked", "not-forwarded"] as const),
  ...(["unknown", "taken", "unavailable", "refused"] as const),
];

export class JournalCounts {
  readonly #counts = Object.fromEntries(outcomes.map((outcome) => [outcome, 0])) as Record<WriteOutcome, number>;

  add(outcome: WriteOutcome): void {
    this.#counts[outcome] += 1;
  }

  get totals(): Readonly<Record<WriteOutcome, number>> {
    return this.#counts;
  }
}

/** What metrics read of a journal. */
export interface JournalSources {
  readonly counts: Pick<JournalCounts, "totals">;
  /** The number of writes under way, including those that wait for their turn. */
  readonly open: number;
  readonly room: { readonly bytes: number; readonly bytesMax: number };
}
