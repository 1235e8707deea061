import type { Digest } from "../digest.js";

/** A revision that a proxy holds compiled. */
export interface PreparedRevision {
  readonly number: number;
  readonly digest: Digest;
}
