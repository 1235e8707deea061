import type { RefusalCount } from "../../core/decision/decision-record.js";

/** Takes recorded decisions. It is called on the hot path, so it never waits and never fails. */
export interface DecisionSink {
  /**
   * Takes a decision as `encodeDecision` returns it. Returns false if there is no room; the decision is then counted as
   * dropped.
   */
  offer(decision: Uint8Array): boolean;
  /** Takes counts of refusals that were too many to be recorded one by one. */
  offerCounts(counts: readonly RefusalCount[]): void;
}
