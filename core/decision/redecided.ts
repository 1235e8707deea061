/** What deciding a recorded call again comes to. */
import type { Verdict } from "./decision-record.js";

export interface Redecided {
  readonly kind: "decided";
  readonly verdict: Verdict;
  readonly rule: string;
  /** One line for operators. */
  readonly reason: string;
  /** The version to which an outbound call was routed; empty: any. */
  readonly version: string;
  /** The method that is judged where the call arrives: the one that was called, or what a route's rewrite makes of it. */
  readonly method: string;
}

/** The policy reads something of the call that was not recorded. */
export interface Undecidable {
  readonly kind: "undecidable";
  /** For people, for example "header x-region". */
  readonly unknown: readonly string[];
}
