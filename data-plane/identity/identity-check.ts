/** Verifies an identity that was received from a control plane or read from disk. */
import { digestOf } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import { isLabel, workloadId } from "../../core/identity.js";
import type { Signed, Trust } from "../../core/model.js";
import { keySetOf, rootKeySet, verifyActivation, verifyFreshness, verifyTrust } from "../../core/wire/records.js";
import { rootHashOf, rootsIn } from "../../runtime/mesh-contact.js";
import { parseSvid, verifySvidChain } from "../../runtime/tls-identity.js";
import { readCertificate } from "../../runtime/tls-identity-der.js";
import { publicKeyDer, toPem } from "../../runtime/tls-identity-keys.js";
import type { ProxyIdentity } from "../ports.js";

/** An identity as bytes, as it is sent and stored. */
export interface IdentityParts {
  readonly mesh: string;
  readonly proxyId: string;
  readonly service: string;
  readonly version: string;
  /** The certificates in DER, leaf first. */
  readonly certificateChain: readonly Uint8Array[];
  readonly natsServers: readonly string[];
  readonly natsJwt: string;
  readonly natsCaPem: string;
  /** The value that the control plane sent; undefined if an older version sent none. */
  readonly unsignedUntilMs?: number | undefined;
  readonly rootPublicKey: Uint8Array;
  /** Signed records; `activation` and `revision` are empty while nothing is active. */
  readonly trust: Uint8Array;
  readonly activation: Uint8Array;
  readonly revision: Uint8Array;
  readonly freshness: Uint8Array;
}

/** The keys of a proxy. They are on disk before the first join and are never sent. */
export interface ProxyKeys {
  readonly privateKeyPem: string;
  readonly natsUser: string;
  readonly natsSeed: string;
}

export interface CheckedIdentity {
  readonly parts: IdentityParts;
  readonly identity: ProxyIdentity;
  readonly notBeforeMs: number;
  readonly trust: Signed<Trust>;
  /** The time on the monotonic clock at which a control plane sent it; undefined if it was read from disk. */
  readonly answeredAtMs?: number;
}

const serversMax = 64;

/**
 * Checks the pin, trust record, certificate chain, names, key, and the heads that came with it. An expired certificate
 * is accepted, because it may be renewed. Fails with `invalid_record` or `invalid_identity`.
 */
export function checkIdentity(
  parts: IdentityParts,
  keys: ProxyKeys,
  expected: { readonly rootHash: string; readonly service: string },
  nowMs: number,
): CheckedIdentity {
  if (rootHashOf(parts.rootPublicKey) !== expected.rootHash) throw refused("its root key is not the pinned one");
  const trust = verifyTrust(parts.trust, parts.mesh, rootKeySet(parts.rootPublicKey));
  const [leaf] = parts.certificateChain;
  if (leaf === undefined) throw refused("no certificate");
  const asOfMs = Math.min(nowMs, parseSvid(leaf).notAfterMs);
  const svid = verifySvidChain(parts.certificateChain, (domain) => rootsIn(trust.body, domain), asOfMs);
  if (svid.spiffeId !== workloadId(parts.mesh, expected.service) || parts.service !== expected.service) {
    throw refused(`it is of ${svid.spiffeId}, not of service ${expected.service}`);
  }
  if (Buffer.compare(readCertificate(leaf).publicKey, publicKeyDer(keys.privateKeyPem)) !== 0) {
    throw refused("its certificate is for another key");
  }
  checkTexts(parts);
  checkHeads(parts, trust.body);
  const { mesh, proxyId, service, version, natsServers, natsJwt, natsCaPem } = parts;
  return {
    parts,
    trust,
    notBeforeMs: svid.notBeforeMs,
    identity: {
      mesh,
      proxyId,
      service,
      version,
      spiffeId: svid.spiffeId,
      certificateChainPem: toPem(parts.certificateChain),
      privateKeyPem: keys.privateKeyPem,
      serial: svid.serial,
      notAfterMs: svid.notAfterMs,
      natsServers,
      natsJwt,
      natsSeed: keys.natsSeed,
      natsCaPem,
      unsignedUntilMs: parts.unsignedUntilMs ?? svid.notAfterMs, // by then the certificate has been renewed or has expired
    },
  };
}

function refused(why: string): AshlarError {
  return new AshlarError("invalid_record", `identity: ${why}`);
}

function checkTexts({ proxyId, version, natsServers, natsJwt }: IdentityParts): void {
  if (!isLabel(proxyId)) throw refused("no proxy id");
  if (!/^[A-Za-z0-9._-]{1,63}$/.test(version)) throw refused("no version");
  if (natsServers.length === 0 || natsServers.length > serversMax) throw refused("no NATS servers, or too many");
  if (natsJwt === "") throw refused("no NATS credentials");
}

/** Checks that the heads belong together; a revision is authentic because the activation names its digest. */
function checkHeads({ mesh, activation, revision, freshness }: IdentityParts, trust: Trust): void {
  const keys = keySetOf(trust);
  verifyFreshness(freshness, mesh, keys);
  if (activation.length === 0) return;
  const head = verifyActivation(activation, mesh, keys);
  if (digestOf(revision) !== head.body.revisionDigest) throw refused("the revision is not the one that is active");
}
