/** Verifies that a caller of the join listener holds the key of a certificate of this mesh, which may have expired. */
import { AshlarError, isAshlarError, messageOf } from "../../core/errors.js";
import { isLabel, workloadIn } from "../../core/identity.js";
import type { Clock } from "../../runtime/clock.js";
import { readCertificate, readName } from "../../runtime/tls-identity-der.js";
import { verifyEcdsa } from "../../runtime/tls-identity-keys.js";
import type { Ledger } from "../store/ledger.js";
import type { Authority } from "./authority.js";
import type { IssuedCertificates } from "./issued-certificates.js";
import type { Nonces } from "./nonces.js";

export interface HolderDeps {
  readonly authority: Pick<Authority, "mesh" | "verifyIssued">;
  readonly ledger: Pick<Ledger, "trust">;
  readonly clock: Clock;
}

/** The proof that the caller holds the certificate's key. */
export interface HolderProof {
  readonly certificate: Uint8Array;
  readonly chain: readonly Uint8Array[];
  readonly signature: Uint8Array;
}

export interface CertificateHolder {
  readonly service: string;
  readonly version: string;
  readonly proxyId: string;
  /** The serial number of the certificate. */
  readonly serial: string;
}

/** Uses up a nonce. Fails with `unauthenticated` if the nonce is not valid. */
export function useNonce(nonces: Nonces, nonce: Uint8Array): void {
  if (nonces.take(nonce)) return;
  throw new AshlarError("unauthenticated", "the nonce is unknown, was used already or is older than a minute");
}

/**
 * Returns the holder of the certificate. Fails with `unauthenticated` unless this mesh issued it, it is not revoked, it
 * expired at most `graceMs` ago, and its key signed `signed`.
 */
export function readHolder(
  proof: HolderProof,
  signed: Uint8Array,
  { authority, ledger, clock }: HolderDeps,
  graceMs: number,
): CertificateHolder {
  const fields = asUnauthenticated(() => readCertificate(proof.certificate));
  const nowMs = clock.nowMs();
  if (nowMs > fields.notAfterMs + graceMs) {
    const at = new Date(fields.notAfterMs).toISOString();
    throw new AshlarError("unauthenticated", `the certificate expired at ${at}, too long ago: join again with a token`);
  }
  const svid = asUnauthenticated(() =>
    authority.verifyIssued(proof.certificate, Math.min(nowMs, fields.notAfterMs), proof.chain),
  );
  const service = workloadIn(svid.spiffeId, authority.mesh);
  if (service === undefined)
    throw new AshlarError("unauthenticated", "only a service's or a gateway's certificate is taken here");
  if (ledger.trust.head()?.body.revocations.some(({ serial }) => serial === svid.serial)) {
    throw new AshlarError("unauthenticated", "the certificate is revoked");
  }
  if (!verifyEcdsa(signed, proof.signature, fields.publicKey)) {
    throw new AshlarError("unauthenticated", "the signature is not by the certificate's key");
  }
  const { organization: version, commonName: proxyId } = readName(fields.subject);
  if (!isLabel(proxyId)) throw new AshlarError("unauthenticated", "the certificate names no proxy");
  return { service, version, proxyId, serial: svid.serial };
}

/**
 * A proxy that was revoked stays out, whatever else it got before, for as long as that may renew: with a new token it is
 * another proxy. `serial`: of the certificate that it came with. Fails with `unauthenticated`.
 */
export function refuseRevoked(
  { ledger, issued }: Pick<HolderDeps, "ledger"> & { readonly issued: Pick<IssuedCertificates, "find"> },
  { proxyId, serial }: { readonly proxyId: string; readonly serial?: string },
): void {
  const revoked = ledger.trust.head()?.body.revocations ?? [];
  if (revoked.some((one) => one.serial === serial || issued.find(one.serial)?.proxyId === proxyId))
    throw new AshlarError("unauthenticated", `proxy ${proxyId} was revoked: join anew with another token`);
}

function asUnauthenticated<Result>(act: () => Result): Result {
  try {
    return act();
  } catch (cause) {
    if (isAshlarError(cause, "unauthenticated")) throw cause;
    throw new AshlarError("unauthenticated", messageOf(cause), { cause });
  }
}
