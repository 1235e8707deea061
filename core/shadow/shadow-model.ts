/** A candidate that is evaluated beside the active revision, without enforcing anything. */
import type { Digest } from "../digest.js";

/** 100 %, in hundredths of a percent. */
export const everyCallBasisPoints = 10_000;
/** The most pairs of caller and method that a proxy names. */
export const shadowFlipsMax = 20;

/** The part of an activation that orders a shadow: the candidate, and the share of calls for which it is evaluated. */
export interface ShadowOrder {
  readonly number: number;
  readonly digest: Digest;
  /** The share of calls in hundredths of a percent, at least 1. */
  readonly shareBasisPoints: number;
}

/** Calls of one caller to one method that the candidate would have decided differently. */
export interface ShadowFlips {
  readonly caller: string;
  readonly method: string;
  readonly wouldDeny: number;
  readonly wouldAllow: number;
}

/** What one proxy counted since the epoch that began the shadow. */
export interface ShadowCounts {
  /** The epoch that ordered the shadow. */
  readonly epoch: number;
  /** The digest of the candidate's revision record. */
  readonly digest: Digest;
  readonly same: number;
  readonly wouldDeny: number;
  readonly wouldAllow: number;
  /** Calls for which the candidate could not be evaluated, or reads a token that the active revision ignores. */
  readonly errors: number;
  /** The pairs whose verdict differs, the most frequent first, up to `shadowFlipsMax`. */
  readonly flips: readonly ShadowFlips[];
}
