import type { RefusalCount } from "../../core/decision/decision-record.js";

/** Where recorded decisions go. Called between calls: never waits, never fails. */
export interface DecisionSink {
  /** Takes one, as `encodeDecision` gave it. False: there is no room, and it is counted as dropped. */
  offer(decision: Uint8Array): boolean;
  /** Takes refusals that were too many to be recorded one by one. */
  offerCounts(counts: readonly RefusalCount[]): void;
}
