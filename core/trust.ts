import { AshlarError } from "./errors.js";
import type { Signed, SigningKey, Trust } from "./model.js";

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

/**
 * The trust record after `head` that lets `key` sign records too; undefined if it may already. Fails with `exists`
 * if another key has its holder's name.
 */
export function delegateSigning(head: Signed<Trust>, key: SigningKey, timeMs: number): Trust | undefined {
  const { signingKeys } = head.body;
  const known = signingKeys.find(({ kid }) => kid === key.kid);
  if (known?.holder === key.holder) return undefined;
  if (known !== undefined || signingKeys.some(({ holder }) => holder === key.holder)) {
    throw new AshlarError("exists", `a control plane named ${known?.holder ?? key.holder} is part of the mesh already`);
  }
  const sorted = [...signingKeys, key].sort((one, other) => (one.kid < other.kid ? -1 : 1));
  return { ...head.body, sequence: head.body.sequence + 1, previous: head.digest, signingKeys: sorted, timeMs };
}
