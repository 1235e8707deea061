/** The joining side of membership: what a further control plane sends, and how it verifies the answer. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { AshlarError, messageOf } from "../../core/errors.js";
import { isLabel } from "../../core/identity.js";
import { createSigner, publicKeyToBytes, type Signer } from "../../core/signature.js";
import { rootKeySet, verifyTrust } from "../../core/wire/records.js";
import { JoinServiceService } from "../../proto/gen/ashlar/v1/join.js";
import { type Membership, MembershipServiceService } from "../../proto/gen/ashlar/v1/membership.js";
import { callUnary } from "../../runtime/grpc-client.js";
import {
  type ContactDeps,
  type LearntTrust,
  learnTrust,
  rootsIn,
  contactTimeoutMs as timeoutMs,
  withVerified,
} from "../../runtime/mesh-contact.js";
import { type NatsAccounts, parseNatsAccounts } from "../../runtime/nats-accounts.js";
import { readCertificate } from "../../runtime/tls-identity-der.js";
import { publicKeyDer } from "../../runtime/tls-identity-keys.js";
import { buildCsr } from "../../runtime/tls-identity-request.js";
import { delegationBytes, renewalBytes } from "./membership-proof.js";

/** The keys of a joining control plane. They are on disk before the first contact and are never sent. */
export interface MemberKeys {
  /** The Ed25519 key that signs revisions, activations and freshness statements. */
  readonly signingKey: KeyObject;
  /** The ECDSA P-256 key of its intermediate CA, in PKCS #8 PEM. */
  readonly caKeyPem: string;
}

/** The keys of the caller: the key that signs the proof and the key of the intermediate CA that it asks for. */
export interface Prover {
  readonly signer: Signer;
  readonly caKeyPem: string;
}

/** A verified place in a mesh. */
export interface MemberPlace {
  readonly mesh: string;
  readonly name: string;
  readonly rootPublicKey: Uint8Array;
  readonly caCertificate: Uint8Array;
  /** This control plane's intermediate CA in DER. */
  readonly intermediate: Uint8Array;
  readonly natsServers: readonly string[];
  readonly natsAccounts: NatsAccounts;
  /** Where proxies may join and renew, "HOST:PORT" each. */
  readonly joinAddresses: readonly string[];
}

const listMax = 64;

/**
 * Joins with a token. The answer, which contains the seeds of the NATS accounts, comes over a connection to a server
 * that proved to be a control plane of the pinned mesh. Fails with the server's error, with `unauthenticated` on a
 * wrong pin, with `invalid_record` on an answer that does not verify, and with `unavailable`.
 */
export async function joinAsControlPlane(
  contact: ContactDeps,
  { token, keys, mesh }: { readonly token: string; readonly keys: MemberKeys; readonly mesh: string },
  signal: AbortSignal,
): Promise<MemberPlace> {
  const learnt = await learnTrust(contact, undefined, signal);
  if (learnt.mesh !== mesh) {
    throw new AshlarError("unauthenticated", `the token is of mesh ${mesh}, the control plane of ${learnt.mesh}`);
  }
  return withVerified(contact, learnt, async (client) => {
    const csr = Buffer.from(buildCsr(keys.caKeyPem));
    const signer = createSigner(keys.signingKey);
    const message = {
      token,
      csr,
      signingKey: Buffer.from(publicKeyToBytes(keys.signingKey)),
      signature: Buffer.from(signer.sign(delegationBytes(csr))),
    };
    const method = MembershipServiceService.joinControlPlane;
    const { membership } = await callUnary(client, method, message, { timeoutMs, signal });
    return checkPlace(membership, { signer, caKeyPem: keys.caKeyPem }, learnt);
  });
}

/**
 * Asks for a new intermediate CA, NATS accounts and addresses, and sends the address of this control plane's join
 * listener.
 */
export async function renewMembership(
  contact: ContactDeps,
  { prover, joinAddress }: { readonly prover: Prover; readonly joinAddress: string },
  signal: AbortSignal,
): Promise<MemberPlace> {
  const learnt = await learnTrust(contact, undefined, signal);
  return withVerified(contact, learnt, async (client) => {
    const limits = { timeoutMs, signal };
    const { nonce } = await callUnary(client, JoinServiceService.getNonce, {}, limits);
    const csr = Buffer.from(buildCsr(prover.caKeyPem));
    const signature = Buffer.from(prover.signer.sign(renewalBytes({ nonce, csr, joinAddress })));
    const message = { kid: prover.signer.kid, csr, nonce, joinAddress, signature };
    const { membership } = await callUnary(client, MembershipServiceService.renewControlPlane, message, limits);
    return checkPlace(membership, prover, learnt);
  });
}

function refused(why: string): AshlarError {
  return new AshlarError("invalid_record", `the place in the mesh that was offered: ${why}`);
}

function checkPlace(
  place: Membership | undefined,
  { signer, caKeyPem }: Prover,
  { mesh, rootPublicKey }: LearntTrust,
): MemberPlace {
  if (place === undefined) throw refused("none");
  const { name, natsServers, joinAddresses } = place;
  if (place.mesh !== mesh || !isLabel(name)) throw refused(`it is of mesh ${place.mesh.slice(0, 64)}`);
  const trust = verifyTrust(place.trust, mesh, rootKeySet(rootPublicKey));
  if (!trust.body.signingKeys.some((key) => key.kid === signer.kid && key.holder === name)) {
    throw refused("its trust record does not name this control plane's signing key");
  }
  const root = rootsIn(trust.body, mesh).find((der) => Buffer.compare(der, place.root) === 0);
  if (root === undefined) throw refused("its X.509 root is not one that is trusted");
  checkIntermediate(place.intermediate, root, caKeyPem);
  if (natsServers.length === 0 || natsServers.length > listMax || joinAddresses.length > listMax) {
    throw refused("no NATS servers, or too many");
  }
  const proxies = { account: place.natsAccount, signingSeed: place.natsAccountSeed };
  const own = { account: place.natsMeshAccount, signingSeed: place.natsMeshAccountSeed };
  const accounts = { mesh: own.account === "" ? proxies : own, proxies };
  return {
    mesh,
    name,
    rootPublicKey,
    natsServers,
    joinAddresses,
    caCertificate: new Uint8Array(place.root),
    intermediate: new Uint8Array(place.intermediate),
    natsAccounts: parseNatsAccounts(JSON.stringify(accounts), "the place in the mesh that was offered"),
  };
}

function checkIntermediate(der: Uint8Array, root: Uint8Array, caKeyPem: string): void {
  try {
    const [own, above] = [new X509Certificate(der), new X509Certificate(root)];
    if (!own.ca || !own.checkIssued(above) || !own.verify(above.publicKey)) throw refused("its CA is not of this mesh");
  } catch (cause) {
    throw cause instanceof AshlarError ? cause : refused(messageOf(cause));
  }
  if (Buffer.compare(readCertificate(der).publicKey, publicKeyDer(createPrivateKey(caKeyPem))) !== 0) {
    throw refused("its CA is for another key");
  }
}
