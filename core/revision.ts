import { type Digest, zeroDigest } from "./digest.js";
import type { Revision, Signed } from "./model.js";

/** Returns the digest that the revision after `head` names as its parent. */
export function parentAfter(head: Signed<Revision> | undefined): Digest {
  return head === undefined ? zeroDigest : head.digest;
}

/** I1: the log has no gap and no fork; the first revision is number 1 and names the zero digest. */
export function mayPublish(head: Signed<Revision> | undefined, next: Revision): boolean {
  return next.number === (head?.body.number ?? 0) + 1 && next.parent === parentAfter(head);
}
