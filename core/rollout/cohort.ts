/**
 * Computes which proxy evaluates which revision while a rollout runs. Pure, so every proxy and control plane gets the
 * same result.
 */
import { createHash } from "node:crypto";
import type { Digest } from "../digest.js";
import type { Activation, PreparedRevision, Signed } from "../model.js";
import { type Cohort, everyoneBasisPoints, type Rollout } from "./rollout-model.js";

/** The part of an activation that says which proxy evaluates which revision. */
export type ActivatedRevisions = Pick<Activation, "revisionNumber" | "revisionDigest"> &
  Partial<Pick<Activation, "rollout">>;

/** The law of the log of rollouts: no gap and no fork. The first has number 1 and names no previous one. */
export function mayPlan(head: Signed<Rollout> | undefined, next: Rollout): boolean {
  return next.number === (head?.body.number ?? 0) + 1 && next.previous === head?.digest;
}

/**
 * Returns a proxy's place in a rollout: a number from 0 to 2^32 - 1, uniform over proxies and different in each
 * rollout.
 */
export function placeOf(rollout: Digest, proxyId: string): number {
  return createHash("sha256").update(`${rollout}\n${proxyId}`).digest().readUInt32BE(0);
}

/**
 * Returns whether the proxy is in the cohort. A cohort with larger `basisPoints` or more `proxyIds` contains the
 * smaller one.
 */
export function isInCohort(cohort: Cohort, rollout: Digest, proxyId: string): boolean {
  if (cohort.basisPoints >= everyoneBasisPoints || includes(cohort.proxyIds, proxyId)) return true;
  return placeOf(rollout, proxyId) * everyoneBasisPoints < cohort.basisPoints * 2 ** 32;
}

/** Returns whether `sorted` contains `wanted`, by binary search, because the list may be long. */
function includes(sorted: readonly string[], wanted: string): boolean {
  let [low, high] = [0, sorted.length - 1];
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const found = sorted[middle];
    if (found === undefined || found === wanted) return found === wanted;
    if (found < wanted) low = middle + 1;
    else high = middle - 1;
  }
  return false;
}

/** Returns the revision that this proxy evaluates under an activation. */
export function revisionFor(activation: ActivatedRevisions, proxyId: string): PreparedRevision {
  const { rollout } = activation;
  if (rollout === undefined || isInCohort(rollout.cohort, rollout.digest, proxyId)) return candidateOf(activation);
  return rollout.base;
}

/**
 * Returns the revisions that proxies evaluate under this activation: one, or base and candidate while a rollout runs.
 */
export function revisionsOf(activation: ActivatedRevisions): readonly PreparedRevision[] {
  const candidate = candidateOf(activation);
  return activation.rollout !== undefined && isUnderway(activation)
    ? [activation.rollout.base, candidate]
    : [candidate];
}

/** Returns the revision in force. While a rollout runs it is the base, which everyone outside the cohort evaluates. */
export function revisionInForce(activation: ActivatedRevisions): PreparedRevision {
  const { rollout } = activation;
  return rollout !== undefined && isUnderway(activation) ? rollout.base : candidateOf(activation);
}

/** Returns the epoch of `head` if some proxy evaluates the given revision under it, otherwise 0. */
export function epochThatRuns(
  head: (ActivatedRevisions & Pick<Activation, "epoch">) | undefined,
  revision: Digest,
): number {
  return head !== undefined && revisionsOf(head).some(({ digest }) => digest === revision) ? head.epoch : 0;
}

/** Returns whether a rollout runs or is paused: the activation is a stage of a rollout, but not its last one. */
export function isUnderway({ rollout }: Partial<Pick<Activation, "rollout">>): boolean {
  return rollout !== undefined && rollout.cohort.basisPoints < everyoneBasisPoints;
}

function candidateOf({ revisionNumber, revisionDigest }: ActivatedRevisions): PreparedRevision {
  return { number: revisionNumber, digest: revisionDigest };
}
