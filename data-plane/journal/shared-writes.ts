import type { Clock } from "../../runtime/clock.js";
import type { JournalStore, StoredEntry } from "./journal-store.js";
import type { SubjectKeys } from "./subject-keys.js";

/** What the writes of one proxy share. */
export interface SharedWrites {
  readonly store: JournalStore;
  /** Data keys of private fields. */
  readonly subjectKeys: SubjectKeys;
  readonly clock: Clock;
  readonly random: () => number;
  /**
   * The writes of this process that are under way, by the nonce of their entries: a call with the same key waits for
   * them.
   */
  readonly running: Map<string, Promise<void>>;
  readonly life: string;
  /** The common beginning of the lives of all workers of this proxy; "": this process carries its writes alone. */
  readonly processLife: string;
  /** True if this process took over from another one of the same proxy, which may still carry writes. */
  readonly tookOver: boolean;
  /** Aborts when the process stops: what is not acknowledged by then stays as it is. */
  readonly signal: AbortSignal;
}

/** Returns whether the writer of an entry has had more time than its call. */
export function isOver({ entry }: StoredEntry, nowMs: number): boolean {
  const { timeMs, deadlineMs } = entry;
  return nowMs > (deadlineMs === 0 ? timeMs + 60_000 : deadlineMs + 5000);
}
