/** A candidate that is evaluated beside the active revision, without enforcing anything. */
import type { Digest } from "../digest.js";

/** 100 %, in hundredths of a percent. */
export const everyCallBasisPoints = 10_000;
/** A proxy names at most so many pairs of caller and method. */
export const shadowFlipsMax = 20;

/** What an activation says: which revision runs beside its own, and on which share of the calls. */
export interface ShadowOrder {
  readonly number: number;
  readonly digest: Digest;
  /** Hundredths of a percent, from 1. */
  readonly shareBasisPoints: number;
}

/** Calls of one caller to one method that would have come out otherwise. */
export interface ShadowFlips {
  readonly caller: string;
  readonly method: string;
  readonly wouldDeny: number;
  readonly wouldAllow: number;
}

/** What one proxy counted since the epoch that began it. */
export interface ShadowCounts {
  /** The epoch that ordered it. */
  readonly epoch: number;
  /** The digest of the candidate's record. */
  readonly digest: Digest;
  readonly same: number;
  readonly wouldDeny: number;
  readonly wouldAllow: number;
  /** The candidate could not be evaluated, or reads a token that the active revision does not look at. */
  readonly errors: number;
  /** The first pairs that flipped, most frequent first. */
  readonly flips: readonly ShadowFlips[];
}
