/** The certificates that sign others: the X.509 root of a mesh, and an intermediate CA of each control plane. */
import { createPrivateKey, type KeyObject } from "node:crypto";
import { AshlarError } from "../../core/errors.js";
import { type Svid, verifySvidChain } from "../../runtime/tls-identity.js";
import { issueCertificate } from "../../runtime/tls-identity-issue.js";
import { generatePrivateKeyPem, publicKeyDer } from "../../runtime/tls-identity-keys.js";

export const dayMs = 86_400_000;
/**
 * Certificates are valid from this many milliseconds before they are issued, because verifiers' clocks may be behind by
 * five minutes.
 */
export const skewMs = 300_000;
const rootTtlMs = 3650 * dayMs;
const intermediateTtlMs = 365 * dayMs;

type Random = (count: number) => Uint8Array;

/** A certificate and its key. */
export interface KeyedCertificate {
  readonly certificate: Uint8Array;
  readonly privateKey: KeyObject;
}

/**
 * Returns 126 random bits in 16 bytes. The first byte is neither 0 nor above 7f, so the number is positive and always
 * of the same length.
 */
export function serialFrom(random: Random): Uint8Array {
  const serial = Uint8Array.from(random(16));
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial;
}

/** Creates a new self-signed root for `mesh`, valid for ten years. */
export function createRoot(mesh: string, nowMs: number, random: Random): KeyedCertificate {
  const privateKey = createPrivateKey(generatePrivateKeyPem());
  const contents = {
    serial: serialFrom(random),
    organization: mesh,
    commonName: "Ashlar root CA",
    notBeforeMs: nowMs - skewMs,
    notAfterMs: nowMs + rootTtlMs,
    publicKey: publicKeyDer(privateKey),
    uri: `spiffe://${mesh}`,
    pathLength: 1,
  };
  return { certificate: issueCertificate(contents, { selfKey: privateKey }), privateKey };
}

/**
 * Issues an intermediate CA for the key `publicKey` (DER), valid for a year. It may sign only leaves (path length 0) of
 * this mesh.
 */
export function issueIntermediate(
  { mesh, publicKey, notAfterMsMax }: { mesh: string; publicKey: Uint8Array; notAfterMsMax: number },
  root: KeyedCertificate,
  nowMs: number,
  random: Random,
): Uint8Array {
  const serial = serialFrom(random);
  const contents = {
    serial,
    organization: mesh,
    commonName: `Ashlar intermediate CA ${Buffer.from(serial).toString("hex").slice(0, 8)}`,
    notBeforeMs: nowMs - skewMs,
    notAfterMs: Math.min(nowMs + intermediateTtlMs, notAfterMsMax),
    publicKey,
    uri: `spiffe://${mesh}`,
    pathLength: 0,
  };
  return issueCertificate(contents, root);
}

/** Verifies a certificate by the first of `chains` that verifies; fails with `invalid_identity` as the last one did. */
export function verifyAny(
  certificate: Uint8Array,
  chains: readonly (readonly Uint8Array[])[],
  { mesh, root, atMs }: { readonly mesh: string; readonly root: Uint8Array; readonly atMs: number },
): Svid {
  let problem: unknown = new AshlarError("invalid_identity", "certificate: not issued by this mesh");
  for (const chain of chains) {
    try {
      return verifySvidChain([certificate, ...chain], (domain) => (domain === mesh ? [root] : []), atMs);
    } catch (error) {
      problem = error;
    }
  }
  throw problem;
}
