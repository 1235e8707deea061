/** Decides which reads wait at an instance for the write that they name. Pure. */
import type { JournalPlan } from "../../core/journal/plan.js";
import { isOfTarget, type PlacedEndpoint } from "../../core/route/choose-target.js";

export interface ReadWait {
  readonly waitMs: number;
}

/** How long a read waits where policy does not mention reads. */
const unsaid: ReadWait = { waitMs: 1000 };

/**
 * Returns how long a call of this method waits at this instance. undefined: the call does not wait. During a rollout or
 * a change of policy, the caller's proxy may already know that replicas serve reads while this one does not, or the
 * other way round. Then the application decides, because only a replica's application reports what it has applied.
 * `journal`: undefined if policy has none.
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
