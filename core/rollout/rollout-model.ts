/**
 * Staged activation as readonly data: the plan of a rollout, and the part of an activation that is one of its stages.
 */
import type { Digest } from "../digest.js";
import type { SpiffeId } from "../identity.js";
import type { PreparedRevision } from "./prepared-revision.js";

/** 100 %, in hundredths of a percent. */
export const everyoneBasisPoints = 10_000;
/** The most proxies that a cohort names one by one. */
export const cohortIdsMax = 1000;

/**
 * The proxies that a stage adds to the cohort: a number of live proxies, a share of all, or the live proxies with a
 * label.
 */
export type RolloutStage = StageHold &
  (
    | { readonly kind: "count"; readonly count: number }
    | { readonly kind: "percent"; readonly basisPoints: number }
    | { readonly kind: "label"; readonly key: string; readonly value: string }
  );

export interface StageHold {
  /** How long this stage holds, in milliseconds; absent: as long as the plan states. The last stage does not hold. */
  readonly holdMs?: number | undefined;
}

/** The allowed share of calls: `timesPercent` of the share it is compared with, plus `moreBasisPoints`. */
export interface ShareGate {
  readonly timesPercent: number;
  readonly moreBasisPoints: number;
}

/** The allowed 99th percentile: `timesPercent` of the one it is compared with, plus `moreMs`. */
export interface LatencyGate {
  readonly timesPercent: number;
  readonly moreMs: number;
}

/**
 * The conditions that a stage must meet before the next one begins. A gate is off if it is undefined (`lagMs`: if it is
 * 0).
 */
export interface RolloutGates {
  /** The least number of live members that evaluate the candidate. */
  readonly members: number;
  /** The least number of calls that members have judged during the stage. As many calls are needed for comparison. */
  readonly samples: number;
  readonly refused: ShareGate | undefined;
  readonly failed: ShareGate | undefined;
  readonly latency: LatencyGate | undefined;
  /** The most milliseconds that a member may take to evaluate the candidate; 0: no bound. */
  readonly lagMs: number;
  /** True if no proxy may have rejected the candidate. */
  readonly rejections: boolean;
  /** If true, refusals that were predicted from recorded decisions are intended, and the gate `refused` allows them. */
  readonly predicted: boolean;
}

/**
 * The plan of a staged activation. A plan changes nothing by itself: activations that name it state which stage is in
 * force.
 */
export interface Rollout {
  readonly number: number;
  /** The digest of the previous rollout; undefined for number 1. */
  readonly previous: Digest | undefined;
  readonly candidate: PreparedRevision;
  readonly base: PreparedRevision;
  readonly stages: readonly RolloutStage[];
  /** The hold of each stage that states none, in milliseconds. The last stage ends the rollout and has none. */
  readonly holdMs: number;
  readonly gates: RolloutGates;
  readonly author: SpiffeId;
  readonly reason: string;
  readonly timeMs: number;
}

/** The proxies of a stage: a share by hash, together with named proxies. */
export interface Cohort {
  /** The share in hundredths of a percent; `everyoneBasisPoints` means all proxies. */
  readonly basisPoints: number;
  /** Proxy ids, sorted. */
  readonly proxyIds: readonly string[];
}

/** The part of an activation that is a stage of a rollout. */
export interface StageOfRollout {
  /** The number of the rollout's record. */
  readonly number: number;
  /** The digest of the rollout's record; it authenticates the plan. */
  readonly digest: Digest;
  /** The number of the stage, from 1. */
  readonly stage: number;
  /** The revision that proxies outside the cohort evaluate. */
  readonly base: PreparedRevision;
  readonly cohort: Cohort;
  /** True if the rollout is paused: it stays at this stage until an operator resumes it. */
  readonly paused: boolean;
}
