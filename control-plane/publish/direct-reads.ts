/** Whether policy lets any application read directly, so that applications may have certificates for that. */
import type { Digest } from "../../core/digest.js";
import { revisionsOf } from "../../core/rollout/cohort.js";
import type { Ledger } from "../store/ledger.js";
import type { SnapshotStore } from "./snapshot-store.js";

/**
 * Returns a function that says whether some Journal of the policy in force has `reads: direct`; during a rollout, of the
 * base or the candidate. It fails with `stale` if a part of the policy is lost.
 */
export function createDirectReads(
  ledger: Pick<Ledger, "activations" | "revisions">,
  snapshots: Pick<SnapshotStore, "load">,
): () => Promise<boolean> {
  const known = new Map<Digest, boolean>();
  const isIn = async (snapshot: Digest): Promise<boolean> => {
    const found = known.get(snapshot);
    if (found !== undefined) return found;
    const { units } = await snapshots.load(snapshot);
    const has = units.some(({ unit }) => unit.journals.some(({ reads }) => reads?.way === "direct"));
    if (known.size >= snapshotsKept) known.clear();
    known.set(snapshot, has);
    return has;
  };
  return async () => {
    const head = ledger.activations.head()?.body;
    if (head === undefined) return false;
    for (const { number } of revisionsOf(head)) {
      const revision = ledger.revisions.find(number);
      if (revision !== undefined && (await isIn(revision.body.snapshot))) return true;
    }
    return false;
  };
}

const snapshotsKept = 64;
