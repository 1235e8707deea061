/** Which reads wait at an instance for the write that they name. Pure. */
import type { JournalPlan } from "../../core/journal/plan.js";
import { isOfTarget, type PlacedEndpoint } from "../../core/route/choose-target.js";

export interface ReadWait {
  readonly waitMs: number;
}

/** How long a read waits where policy says nothing of reads. */
const unsaid: ReadWait = { waitMs: 1000 };

/**
 * Returns how long a call of this method waits at this instance; undefined: it is not asked what it has applied. While a rollout
 * runs or a policy changes, the caller's proxy may know of reads at replicas and this one not yet, or no longer: then it is the
 * application that says what it applied, which the primary's does not. `journal`: undefined if policy has none.
 */
export function readWait(
  journal: Pick<JournalPlan, "isRead" | "reads"> | undefined,
  method: string,
  place: PlacedEndpoint,
  isReporting: boolean,
): ReadWait | undefined {
  if (journal?.isRead(method) !== true) return undefined;
  const { reads } = journal;
  if (reads === undefined) return isReporting ? unsaid : undefined;
  return isOfTarget(reads.replica, place) ? reads : undefined;
}
