import type { Digest } from "../../core/digest.js";
import type { HeldRevision, HeldUnit } from "./held-revision.js";

/** Others who judge by the revisions that are held here: worker processes. They hear of a switch like everybody. */
export interface RevisionSpread {
  /** Resolves when all of them hold it compiled. Fails with `unavailable` if one of them cannot. */
  prepare(held: HeldRevision): Promise<void>;
  /** A unit came to a revision. */
  added(revision: Digest, name: string, unit: HeldUnit): void;
  /** It is not held any more. */
  dropped(revision: Digest): void;
}
