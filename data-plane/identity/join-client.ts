/** A proxy's side of the join listener: what it sends and what it receives. */
import { createHash } from "node:crypto";
import type { Digest } from "../../core/digest.js";
import { digestToBytes } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import { rootKeySet, verifyTrust } from "../../core/wire/records.js";
import { type Identity, JoinServiceService } from "../../proto/gen/ashlar/v1/join.js";
import { callUnary } from "../../runtime/grpc-client.js";
import {
  type ContactDeps,
  contactTimeoutMs,
  type KnownTrust,
  type LearntTrust,
  learnTrust,
  withVerified,
} from "../../runtime/mesh-contact.js";
import { signEcdsa } from "../../runtime/tls-identity-keys.js";
import type { IdentityParts, ProxyKeys } from "./identity-check.js";

/** The heads of the logs that the proxy has seen. They are sent with each renewal. */
export interface SeenByProxy {
  readonly epoch: number;
  readonly activation: Digest | undefined;
  readonly trustSequence: number;
}

export interface JoinClientDeps extends ContactDeps {
  readonly keys: ProxyKeys;
}

const timeoutMs = contactTimeoutMs;

/** Joins with a token. Fails with the server's error, with `unauthenticated` on a wrong pin, and with `unavailable`. */
export async function joinMesh(
  deps: JoinClientDeps,
  request: { readonly token: string; readonly mesh: string; readonly service: string },
  signal: AbortSignal,
): Promise<IdentityParts> {
  const learnt = await learnTrust(deps, undefined, signal);
  if (learnt.mesh !== request.mesh) {
    throw new AshlarError(
      "unauthenticated",
      `the token is of mesh ${request.mesh}, the control plane of ${learnt.mesh}`,
    );
  }
  return withVerified(deps, learnt, async (client) => {
    const { token, service } = request;
    const csr = Buffer.from(await csrFor(deps.keys.privateKeyPem));
    const message = { token, csr, natsUser: deps.keys.natsUser, service };
    const { identity } = await callUnary(client, JoinServiceService.join, message, { timeoutMs, signal });
    return toParts(identity, learnt);
  });
}

/**
 * Renews the certificate of `chain` (leaf first), expired or not. The returned trust record is never older than
 * `known`.
 */
export async function renewIdentity(
  deps: JoinClientDeps,
  present: { readonly chain: readonly Uint8Array[]; readonly known: KnownTrust; readonly seen: SeenByProxy },
  signal: AbortSignal,
): Promise<IdentityParts> {
  const learnt = await learnTrust(deps, present.known, signal);
  return withVerified(deps, learnt, async (client) => {
    const { keys } = deps;
    const { nonce } = await callUnary(client, JoinServiceService.getNonce, {}, { timeoutMs, signal });
    const csr = Buffer.from(await csrFor(keys.privateKeyPem));
    const message = {
      ...proofBy(keys, present.chain, "ashlar-renew-v1", nonce, csr),
      csr,
      nonce,
      natsUser: keys.natsUser,
      seenActivation: Buffer.from(present.seen.activation === undefined ? [] : digestToBytes(present.seen.activation)),
      seenEpoch: present.seen.epoch,
      trustSequence: present.seen.trustSequence,
    };
    const { identity } = await callUnary(client, JoinServiceService.renew, message, { timeoutMs, signal });
    return toParts(identity, learnt);
  });
}

/**
 * Asks for a certificate for the key of `csr`, which is an application's beside this proxy. Returns DER, leaf first. Fails with
 * what the control plane says.
 */
export async function requestReader(
  deps: JoinClientDeps,
  present: { readonly chain: readonly Uint8Array[]; readonly known: KnownTrust },
  csr: Uint8Array,
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  const learnt = await learnTrust(deps, present.known, signal);
  return withVerified(deps, learnt, async (client) => {
    const { nonce } = await callUnary(client, JoinServiceService.getNonce, {}, { timeoutMs, signal });
    const message = {
      ...proofBy(deps.keys, present.chain, "ashlar-reader-v1", nonce, csr),
      csr: Buffer.from(csr),
      nonce,
    };
    const { certificateChain } = await callUnary(client, JoinServiceService.issueReader, message, {
      timeoutMs,
      signal,
    });
    return certificateChain;
  });
}

/** What proves that the caller holds the certificate's key. */
function proofBy(
  { privateKeyPem }: ProxyKeys,
  [certificate = new Uint8Array(), ...chain]: readonly Uint8Array[],
  prefix: string,
  nonce: Uint8Array,
  csr: Uint8Array,
) {
  const hash = createHash("sha256").update(csr).digest();
  return {
    certificate: Buffer.from(certificate),
    chain: chain.map((der) => Buffer.from(der)),
    signature: Buffer.from(signEcdsa(Buffer.concat([Buffer.from(prefix), nonce, hash]), privateKeyPem)),
  };
}

function toParts(identity: Identity | undefined, learnt: LearntTrust): IdentityParts {
  if (identity === undefined) throw new AshlarError("invalid_record", "the control plane answered without an identity");
  if (identity.mesh !== learnt.mesh) throw new AshlarError("invalid_record", `an identity of mesh ${identity.mesh}`);
  const { rootPublicKey, trust } = learnt;
  // the trust log may have grown since it was read; a head older than the one that was read is refused
  const given = verifyTrust(identity.trust, identity.mesh, rootKeySet(rootPublicKey));
  const isNewer = given.body.sequence > trust.body.sequence;
  if (given.body.sequence === trust.body.sequence && given.digest !== trust.digest) {
    throw new AshlarError("invalid_record", `two trust records of sequence ${trust.body.sequence}`);
  }
  const { mesh, proxyId, service, version, natsServers, natsJwt, natsCaPem } = identity;
  return {
    mesh,
    proxyId,
    service,
    version,
    natsServers,
    natsJwt,
    natsCaPem,
    rootPublicKey,
    unsignedUntilMs: identity.unsignedUntilMs,
    certificateChain: identity.certificateChain,
    trust: isNewer ? given.bytes : trust.bytes,
    activation: identity.activation,
    revision: identity.revision,
    freshness: identity.freshness,
  };
}

/**
 * Builds the certificate request. The ASN.1 library is needed once an hour, so it is loaded here and does not slow a
 * start from disk.
 */
async function csrFor(privateKeyPem: string): Promise<Uint8Array> {
  const { buildCsr } = await import("../../runtime/tls-identity-request.js");
  return buildCsr(privateKeyPem);
}
