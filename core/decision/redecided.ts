/** The result of deciding a recorded call again. */
import type { Verdict } from "./decision-record.js";

export interface Redecided {
  readonly kind: "decided";
  readonly verdict: Verdict;
  readonly rule: string;
  /** One line for operators. */
  readonly reason: string;
  /** The version to which an outbound call was routed; empty: any version. */
  readonly version: string;
  /**
   * The method that is judged where the call arrives: the one that was called, or the one that a route's rewrite makes
   * of it.
   */
  readonly method: string;
}

/** The call cannot be decided again, because the policy reads a value of it that was not recorded. */
export interface Undecidable {
  readonly kind: "undecidable";
  /** The values that were not recorded, for people, such as "header x-region". */
  readonly unknown: readonly string[];
}
