/**
 * A proxy's side of the join listener. Each contact first reads the trust log over a connection that
 * proves nothing and checks it against the pinned root; only over a second connection, to a server whose
 * certificate that trust vouches for, does a token or a renewal go out.
 */
import { createHash } from "node:crypto";
import type { DetailedPeerCertificate } from "node:tls";
import { type Client, credentials } from "@grpc/grpc-js";
import type { Digest } from "../../core/digest.js";
import { digestToBytes } from "../../core/digest.js";
import { AshlarError, messageOf } from "../../core/errors.js";
import { nameIn } from "../../core/identity.js";
import type { Signed, Trust } from "../../core/model.js";
import { mayTrust } from "../../core/trust.js";
import { rootKeySet, verifyTrust } from "../../core/wire/records.js";
import { GetTrustRequest, type Identity, JoinServiceService } from "../../proto/gen/ashlar/v1/join.js";
import type { Clock } from "../../runtime/clock.js";
import { callUnary, connectGrpc } from "../../runtime/grpc-client.js";
import { checkRevocation, verifySvidChain } from "../../runtime/tls-identity.js";
import { buildCsr, signEcdsa, toPem } from "../../runtime/tls-identity-issue.js";
import { type IdentityParts, type ProxyKeys, rootHashOf, rootsIn } from "./identity-check.js";

/** What is known of the mesh before a contact. */
export interface KnownTrust {
  readonly mesh: string;
  readonly trust: Signed<Trust>;
}

/** What the proxy has seen of the logs; told at each renewal. */
export interface SeenByProxy {
  readonly epoch: number;
  readonly activation: Digest | undefined;
  readonly trustSequence: number;
}

export interface JoinClientDeps {
  /** "HOST:PORT" of the join listener. */
  readonly address: string;
  /** SHA-256 of the mesh's root key: the pin. */
  readonly rootHash: string;
  readonly keys: ProxyKeys;
  readonly clock: Clock;
}

const timeoutMs = 10_000;
const pagesMax = 1000;

interface LearntTrust extends KnownTrust {
  readonly rootPublicKey: Uint8Array;
}

/** Joins with a token. Fails with what the server says, `unauthenticated` on a wrong pin, `unavailable`. */
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
    const csr = Buffer.from(buildCsr(deps.keys.privateKeyPem));
    const message = { token, csr, natsUser: deps.keys.natsUser, service };
    const { identity } = await callUnary(client, JoinServiceService.join, message, { timeoutMs, signal });
    return toParts(identity, learnt);
  });
}

/** Renews the certificate of `chain` (leaf first), expired or not. The trust that comes back is never older than `known`. */
export async function renewIdentity(
  deps: JoinClientDeps,
  present: { readonly chain: readonly Uint8Array[]; readonly known: KnownTrust; readonly seen: SeenByProxy },
  signal: AbortSignal,
): Promise<IdentityParts> {
  const learnt = await learnTrust(deps, present.known, signal);
  return withVerified(deps, learnt, async (client) => {
    const { keys } = deps;
    const { nonce } = await callUnary(client, JoinServiceService.getNonce, {}, { timeoutMs, signal });
    const csr = Buffer.from(buildCsr(keys.privateKeyPem));
    const hash = createHash("sha256").update(csr).digest();
    const signature = signEcdsa(Buffer.concat([Buffer.from("ashlar-renew-v1"), nonce, hash]), keys.privateKeyPem);
    const [certificate = new Uint8Array(), ...chain] = present.chain;
    const message = {
      certificate: Buffer.from(certificate),
      chain: chain.map((der) => Buffer.from(der)),
      csr,
      nonce,
      signature: Buffer.from(signature),
      natsUser: keys.natsUser,
      seenActivation: Buffer.from(present.seen.activation === undefined ? [] : digestToBytes(present.seen.activation)),
      seenEpoch: present.seen.epoch,
      trustSequence: present.seen.trustSequence,
    };
    const { identity } = await callUnary(client, JoinServiceService.renew, message, { timeoutMs, signal });
    return toParts(identity, learnt);
  });
}

/** Reads the trust log on from what is known, link by link from the pinned root. */
async function learnTrust(
  deps: JoinClientDeps,
  known: KnownTrust | undefined,
  signal: AbortSignal,
): Promise<LearntTrust> {
  const anyone = credentials.createSsl(null, null, null, { rejectUnauthorized: false });
  const client = connectGrpc({ address: deps.address, credentials: anyone });
  try {
    let [trust, mesh, rootPublicKey] = [known?.trust, known?.mesh, undefined as Uint8Array | undefined];
    for (let page = 0; page < pagesMax; page++) {
      const request = GetTrustRequest.fromPartial({ afterSequence: trust?.body.sequence ?? 0 });
      const answer = await callUnary(client, JoinServiceService.getTrust, request, { timeoutMs, signal });
      mesh ??= answer.mesh;
      if (rootHashOf(answer.rootPublicKey) !== deps.rootHash || answer.mesh !== mesh) {
        throw new AshlarError(
          "unauthenticated",
          `the control plane at ${deps.address} is not the mesh that was pinned: check --join and --token`,
        );
      }
      rootPublicKey = new Uint8Array(answer.rootPublicKey);
      for (const bytes of answer.records) {
        const next = verifyTrust(bytes, mesh, rootKeySet(rootPublicKey));
        if (!mayTrust(trust, next.body)) throw new AshlarError("invalid_record", "the trust log has a gap or a fork");
        trust = next;
      }
      if (answer.records.length === 0 && trust !== undefined) return { mesh, trust, rootPublicKey };
      if (answer.records.length === 0) throw new AshlarError("unavailable", "the mesh's trust log is empty");
    }
    throw new AshlarError("limit", "the trust log does not end");
  } finally {
    client.close();
  }
}

/** Connects to a server that proves to be a control plane of the mesh, and runs `act` with it. */
async function withVerified<Result>(
  deps: JoinClientDeps,
  { mesh, trust }: KnownTrust,
  act: (client: Client) => Promise<Result>,
): Promise<Result> {
  let problem: AshlarError | undefined;
  const checkServerIdentity = (_host: string, peer: unknown): Error | undefined => {
    try {
      verifyControlPlane(peer as DetailedPeerCertificate, mesh, trust.body, deps.clock.nowMs());
      return undefined;
    } catch (cause) {
      problem = new AshlarError("unavailable", `the control plane at ${deps.address}: ${messageOf(cause)}`, { cause });
      return problem;
    }
  };
  const roots = Buffer.from(toPem(rootsIn(trust.body, mesh)));
  const client = connectGrpc({
    address: deps.address,
    credentials: credentials.createSsl(roots, null, null, { checkServerIdentity }),
  });
  try {
    return await act(client);
  } catch (error) {
    throw problem ?? error;
  } finally {
    client.close();
  }
}

/** The SPIFFE ID decides, never a host name. */
function verifyControlPlane(peer: DetailedPeerCertificate, mesh: string, trust: Trust, nowMs: number): void {
  const chain: Uint8Array[] = [];
  for (let one: DetailedPeerCertificate | undefined = peer; one?.raw !== undefined && chain.length < 5; ) {
    chain.push(one.raw);
    one = one.issuerCertificate === one ? undefined : one.issuerCertificate;
  }
  const svid = verifySvidChain(chain, (domain) => rootsIn(trust, domain), nowMs);
  checkRevocation(svid, { isRevoked: (serial) => trust.revocations.some((one) => one.serial === serial) });
  if (nameIn(svid.spiffeId, mesh, "control-plane") === undefined) {
    throw new AshlarError("invalid_identity", `${svid.spiffeId} is no control plane`);
  }
}

function toParts(identity: Identity | undefined, learnt: LearntTrust): IdentityParts {
  if (identity === undefined) throw new AshlarError("invalid_record", "the control plane answered without an identity");
  if (identity.mesh !== learnt.mesh) throw new AshlarError("invalid_record", `an identity of mesh ${identity.mesh}`);
  const { rootPublicKey, trust } = learnt;
  // the trust log may have grown since it was read; an older head than the one that was read is not taken
  const given = verifyTrust(identity.trust, identity.mesh, rootKeySet(rootPublicKey));
  const isNewer = given.body.sequence > trust.body.sequence;
  if (given.body.sequence === trust.body.sequence && given.digest !== trust.digest) {
    throw new AshlarError("invalid_record", `two trust records of sequence ${trust.body.sequence}`);
  }
  const { mesh, proxyId, service, version, natsServers, natsJwt, natsCaPem } = identity;
  return {
    ...{ mesh, proxyId, service, version, natsServers, natsJwt, natsCaPem, rootPublicKey },
    certificateChain: identity.certificateChain,
    trust: isNewer ? given.bytes : trust.bytes,
    activation: identity.activation,
    revision: identity.revision,
    freshness: identity.freshness,
  };
}
