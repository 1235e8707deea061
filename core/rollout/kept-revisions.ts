/** Decides which revisions proxies keep prepared, so that activating one of them needs no fetch. Pure. */
import type { Digest } from "../digest.js";
import type { Activation, Revision, Signed } from "../model.js";
import { revisionsOf } from "./cohort.js";

/** The number of newest revisions, and the number of last active revisions, that are kept. */
export const keptOfEachMax = 8;

/** Returns whether proxies that follow both logs keep `digest` prepared. Both lists are oldest first. */
export function isKeptPrepared(
  digest: Digest,
  revisions: readonly Signed<Revision>[],
  activations: readonly Signed<Activation>[],
): boolean {
  if (revisions.slice(-keptOfEachMax).some((one) => one.digest === digest)) return true;
  const active = new Set<Digest>();
  for (let at = activations.length - 1; at >= 0 && active.size < keptOfEachMax; at -= 1) {
    const activation = activations[at];
    for (const one of activation === undefined ? [] : revisionsOf(activation.body)) active.add(one.digest);
  }
  return active.has(digest);
}
