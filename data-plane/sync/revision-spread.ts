import type { Digest } from "../../core/digest.js";
import type { HeldRevision, HeldUnit } from "./held-revision.js";

/** The worker processes, which also judge by the held revisions. They are told of a switch like other listeners. */
export interface RevisionSpread {
  /** Resolves when all of them hold it compiled. Fails with `unavailable` if one of them cannot. */
  prepare(held: HeldRevision): Promise<void>;
  /** A unit came to a revision. */
  added(revision: Digest, name: string, unit: HeldUnit): void;
  /** The revision is no longer held. */
  dropped(revision: Digest): void;
}
