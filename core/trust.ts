import { egressesBytesMax, egressesMax, type TrustedEgress } from "./egress/trusted-egress.js";
import { AshlarError } from "./errors.js";
import type { Signed, SigningKey, Trust } from "./model.js";
import { renderNearest } from "./snapshot/nearest.js";
import type { TrustedIssuer } from "./token/token-model.js";

/** The most issuers of tokens of one mesh. */
export const issuersMax = 32;
/**
 * The most bytes of all issuers' keys and certificates together. The remainder of a trust record is reserved for
 * revocations.
 */
const issuersBytesMax = 384 * 1024;

/** I2 for the trust log: no gap and never back. The first record has sequence 1 and no previous record. */
export function mayTrust(seen: Signed<Trust> | undefined, next: Trust): boolean {
  return (
    next.sequence === (seen?.body.sequence ?? 0) + 1 && next.previous === seen?.digest && keepsRevocations(seen, next)
  );
}

/** Returns whether `next` contains every revocation of `head`: a revocation is never taken back. */
function keepsRevocations(seen: Signed<Trust> | undefined, next: Trust): boolean {
  if (seen === undefined) return true;
  const revoked = new Set(next.revocations.map((revocation) => revocation.serial));
  return seen.body.revocations.every((revocation) => revoked.has(revocation.serial));
}

/**
 * Returns the trust record after `head` that also lets `key` sign records, or undefined if it may already. Fails with
 * `exists` if the holder's name belongs to another key.
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

/** The most keys of one control plane that are trusted at a time: the key in use and the key before or after it. */
const keysOfHolderMax = 2;

/**
 * Returns the trust record after `head` that lets `key` sign beside its holder's current key, or undefined if it may
 * already. Fails with `stale` if the holder has two keys.
 */
export function succeedSigning(head: Signed<Trust>, key: SigningKey, timeMs: number): Trust | undefined {
  const { signingKeys } = head.body;
  if (signingKeys.some(({ kid }) => kid === key.kid)) return undefined;
  const own = signingKeys.filter(({ holder }) => holder === key.holder);
  if (own.length >= keysOfHolderMax)
    throw new AshlarError(
      "stale",
      `control plane ${key.holder} has ${own.length} signing keys: drop the one that is not in use first`,
    );
  const sorted = [...signingKeys, key].sort((one, other) => (one.kid < other.kid ? -1 : 1));
  return { ...head.body, sequence: head.body.sequence + 1, previous: head.digest, signingKeys: sorted, timeMs };
}

/**
 * Returns the trust record after `head` without the key `kid`. Fails with `not_found` if there is no such key, and with
 * `stale` if its holder has no other.
 */
export function dropSigning(head: Signed<Trust>, kid: string, timeMs: number): Trust {
  const { signingKeys } = head.body;
  const dropped = signingKeys.find((key) => key.kid === kid);
  if (dropped === undefined) {
    const known = signingKeys.map((key) => key.kid);
    throw new AshlarError(
      "not_found",
      `there is no signing key ${JSON.stringify(kid.slice(0, 64))}${renderNearest(kid, known)}`,
    );
  }
  const rest = signingKeys.filter((key) => key !== dropped);
  if (!rest.some(({ holder }) => holder === dropped.holder))
    throw new AshlarError(
      "stale",
      `${kid} is the only signing key of control plane ${dropped.holder}: rotate it there first`,
    );
  return { ...head.body, sequence: head.body.sequence + 1, previous: head.digest, signingKeys: rest, timeMs };
}

/**
 * Returns the trust record after `head` with `issuer`, which replaces an issuer of the same name, or undefined if
 * nothing but the time of reading would change. Fails with `exists` if another name has the same "iss", and with
 * `limit` if there are too many issuers or they are too large together.
 */
export function setIssuer(head: Signed<Trust>, issuer: TrustedIssuer, timeMs: number): Trust | undefined {
  const others = head.body.issuers.filter(({ name }) => name !== issuer.name);
  const known = head.body.issuers.find(({ name }) => name === issuer.name);
  if (known !== undefined && saysTheSame(known, issuer)) return undefined;
  const twin = others.find((other) => other.issuer === issuer.issuer);
  if (twin !== undefined)
    throw new AshlarError("exists", `${issuer.issuer} is the issuer ${twin.name} already: one issuer has one name`);
  if (others.length >= issuersMax)
    throw new AshlarError("limit", `there are ${issuersMax} issuers, and more are not kept`);
  const bytes = [...others, issuer].reduce((sum, { jwks, jwksCa }) => sum + jwks.length + jwksCa.length, 0);
  if (bytes > issuersBytesMax)
    throw new AshlarError(
      "limit",
      `all issuers' keys and certificates have ${bytes} bytes with those of ${issuer.name}, at most ${issuersBytesMax} are kept`,
    );
  const issuers = [...others, issuer].sort((one, other) => (one.name < other.name ? -1 : 1));
  return { ...head.body, sequence: head.body.sequence + 1, previous: head.digest, issuers, timeMs };
}

/** Returns the trust record after `head` without the issuer `name`. Fails with `not_found` if there is none. */
export function removeIssuer(head: Signed<Trust>, name: string, timeMs: number): Trust {
  const issuers = head.body.issuers.filter((issuer) => issuer.name !== name);
  if (issuers.length === head.body.issuers.length) {
    const nearest = renderNearest(
      name,
      issuers.map((issuer) => issuer.name),
    );
    throw new AshlarError("not_found", `there is no issuer ${JSON.stringify(name.slice(0, 64))}${nearest}`);
  }
  return { ...head.body, sequence: head.body.sequence + 1, previous: head.digest, issuers, timeMs };
}

/**
 * Returns the trust record after `head` with `egress`, which replaces an egress of the same name, or undefined if
 * nothing would change. Fails with `limit` if there are too many egresses or they are too large together.
 */
export function setEgress(head: Signed<Trust>, egress: TrustedEgress, timeMs: number): Trust | undefined {
  const others = head.body.egresses.filter(({ name }) => name !== egress.name);
  const known = head.body.egresses.find(({ name }) => name === egress.name);
  if (known !== undefined && JSON.stringify(known) === JSON.stringify(egress)) return undefined;
  if (others.length >= egressesMax)
    throw new AshlarError("limit", `there are ${egressesMax} egresses, and more are not kept`);
  const egresses = [...others, egress].sort((one, other) => (one.name < other.name ? -1 : 1));
  const bytes = egresses.reduce((sum, { ca, clientCert }) => sum + ca.length + clientCert.length, 0);
  if (bytes > egressesBytesMax)
    throw new AshlarError(
      "limit",
      `all egresses' certificates have ${bytes} bytes with those of ${egress.name}, at most ${egressesBytesMax} are kept`,
    );
  return { ...head.body, sequence: head.body.sequence + 1, previous: head.digest, egresses, timeMs };
}

/** Returns the trust record after `head` without the egress `name`. Fails with `not_found` if there is none. */
export function removeEgress(head: Signed<Trust>, name: string, timeMs: number): Trust {
  const egresses = head.body.egresses.filter((egress) => egress.name !== name);
  if (egresses.length === head.body.egresses.length) {
    const known = egresses.map((egress) => egress.name);
    throw new AshlarError(
      "not_found",
      `there is no address of an egress ${JSON.stringify(name.slice(0, 64))}${renderNearest(name, known)}`,
    );
  }
  return { ...head.body, sequence: head.body.sequence + 1, previous: head.digest, egresses, timeMs };
}

/**
 * Returns the trust record after `head` with another holder of journals' private fields, or undefined if it has this
 * one already.
 */
export function setJournalHolder(head: Signed<Trust>, publicKey: string, timeMs: number): Trust | undefined {
  if (head.body.journalHolder?.publicKey === publicKey) return undefined;
  const journalHolder = { publicKey, sinceMs: timeMs };
  return { ...head.body, sequence: head.body.sequence + 1, previous: head.digest, journalHolder, timeMs };
}

/** The most revocations in a trust record. Revocations are never removed. */
export const revocationsMax = 10_000;

/**
 * Returns the trust record after `head` in which these certificates are revoked too, or undefined if all of them are
 * already. Fails with `limit` if there are too many.
 */
export function revoke(
  head: Signed<Trust>,
  serials: readonly string[],
  reason: string,
  timeMs: number,
): Trust | undefined {
  const known = new Set(head.body.revocations.map(({ serial }) => serial));
  const added = [...new Set(serials)].filter((serial) => !known.has(serial));
  if (added.length === 0) return undefined;
  const revocations = [...head.body.revocations, ...added.map((serial) => ({ serial, reason, timeMs }))].sort(
    (one, other) => (one.serial < other.serial ? -1 : 1),
  );
  if (revocations.length > revocationsMax)
    throw new AshlarError("limit", `${revocationsMax} certificates are revoked, and more are not kept`);
  return { ...head.body, sequence: head.body.sequence + 1, previous: head.digest, revocations, timeMs };
}

/** Returns whether two records of an issuer are equal, ignoring the time at which its keys were read. */
export function saysTheSame(one: TrustedIssuer, other: TrustedIssuer): boolean {
  return (
    one.issuer === other.issuer &&
    one.jwks === other.jwks &&
    one.jwksUrl === other.jwksUrl &&
    one.jwksCa === other.jwksCa &&
    one.allowPrivateAddress === other.allowPrivateAddress
  );
}
