import type { Signed, Trust } from "./model.js";

/** I2 for trust: one link after the other, never back; the first has sequence 1 and no previous. */
export function mayTrust(seen: Signed<Trust> | undefined, next: Trust): boolean {
  return (
    next.sequence === (seen?.body.sequence ?? 0) + 1 && next.previous === seen?.digest && keepsRevocations(seen, next)
  );
}

/** Revocations are cumulative: what was revoked once stays revoked. */
function keepsRevocations(seen: Signed<Trust> | undefined, next: Trust): boolean {
  if (seen === undefined) return true;
  const revoked = new Set(next.revocations.map((revocation) => revocation.serial));
  return seen.body.revocations.every((revocation) => revoked.has(revocation.serial));
}
