/** Chooses which revisions a proxy keeps prepared and which it prepares next. Pure. */
import type { Digest } from "../../core/digest.js";
import type { Activation, PreparedRevision } from "../../core/model.js";
import { revisionsOf } from "../../core/rollout/cohort.js";
import { keptOfEachMax } from "../../core/rollout/kept-revisions.js";

/** How many last active revisions stay prepared, so that a rollback to one of them needs no fetch. */
export const historyMax = keptOfEachMax;
/** How many revisions are prepared because they are about to be activated. Two operators may be at work. */
const orderedMax = 2;
/** How many revisions stay prepared in all: the last active, the ordered and the newest published ones. */
export const preparedMax = 16;

/** Puts the activated revision first, during a rollout both base and candidate. Each revision is listed once. */
export function noteActive(history: readonly PreparedRevision[], activation: Activation): PreparedRevision[] {
  const active = revisionsOf(activation);
  const others = history.filter((one) => !active.some((other) => other.digest === one.digest));
  return [...active, ...others].slice(0, historyMax);
}

/** Puts the revision that was ordered last first. Each revision is listed once. */
export function noteOrdered(ordered: readonly PreparedRevision[], revision: PreparedRevision): PreparedRevision[] {
  return [revision, ...ordered.filter((one) => one.digest !== revision.digest)].slice(0, orderedMax);
}

/** Puts a published revision into the list, newest first. */
export function notePublished(
  published: readonly PreparedRevision[],
  revision: PreparedRevision,
): readonly PreparedRevision[] {
  if (published.some((one) => one.digest === revision.digest)) return published;
  return [...published, revision].sort((a, b) => b.number - a.number).slice(0, historyMax);
}

/**
 * Returns the revisions to hold, the most urgent first: the one to be evaluated, the evaluated one, the one that others
 * evaluate during a rollout, the newest published one, the ordered ones, the last active ones, then older published
 * ones. Returns at most `preparedMax`.
 */
export function wantedRevisions(parts: {
  readonly target: PreparedRevision | undefined;
  readonly active: readonly PreparedRevision[];
  readonly evaluating: PreparedRevision | undefined;
  readonly ordered: readonly PreparedRevision[];
  readonly history: readonly PreparedRevision[];
  readonly published: readonly PreparedRevision[];
}): readonly PreparedRevision[] {
  const [newest, ...older] = parts.published;
  const wanted = new Map<Digest, PreparedRevision>();
  const { target, evaluating, active, ordered, history } = parts;
  for (const one of [target, evaluating, ...active, newest, ...ordered, ...history, ...older]) {
    if (one !== undefined && wanted.size < preparedMax) wanted.set(one.digest, one);
  }
  return [...wanted.values()];
}
