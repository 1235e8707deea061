import type { Digest } from "../../core/digest.js";
import type { HeldRevision, HeldUnit } from "./held-revision.js";

/** The worker processes, which also judge by the held revisions. They hear of a switch like other listeners. */
export interface RevisionSpread {
  /** Resolves when all workers hold the revision compiled. Fails with `unavailable` if one of them cannot. */
  prepare(held: HeldRevision): Promise<void>;
  /** Called when a unit was added to a revision. */
  added(revision: Digest, name: string, unit: HeldUnit): void;
  /** Called when the revision is no longer held. */
  dropped(revision: Digest): void;
}
