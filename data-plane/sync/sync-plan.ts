/** Which revisions a proxy keeps prepared, and which it prepares next: pure. */
import type { Digest } from "../../core/digest.js";
import type { PreparedRevision } from "../../core/model.js";

/** Revisions that were active last, so that a rollback to one of them needs no fetch. */
export const historyMax = 8;
/** All that are kept prepared: those, and the newest published ones. */
export const preparedMax = 16;

/** Puts a revision that was activated first; each revision stands once. */
export function noteActive(history: readonly PreparedRevision[], active: PreparedRevision): PreparedRevision[] {
  return [active, ...history.filter((one) => one.digest !== active.digest)].slice(0, historyMax);
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
 * The revisions to hold, most urgent first: what is to be evaluated, what is evaluated, the newest
 * published one, the last that were active, then older published ones; at most `preparedMax`.
 */
export function wantedRevisions(parts: {
  readonly target: PreparedRevision | undefined;
  readonly evaluating: PreparedRevision | undefined;
  readonly history: readonly PreparedRevision[];
  readonly published: readonly PreparedRevision[];
}): readonly PreparedRevision[] {
  const [newest, ...older] = parts.published;
  const wanted = new Map<Digest, PreparedRevision>();
  for (const one of [parts.target, parts.evaluating, newest, ...parts.history, ...older]) {
    if (one !== undefined && wanted.size < preparedMax) wanted.set(one.digest, one);
  }
  return [...wanted.values()];
}
