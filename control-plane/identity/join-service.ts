/** The join listener: tokens and renewals in, identities out. The caller has no certificate here. */
import { createHash } from "node:crypto";
import { type Digest, digestFromBytes, digestToBytes } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import { type OfferContent, offerSigningBytes, parseOfferContent } from "../../core/wire/offers.js";
import {
  GetNonceResponse,
  type GetTrustRequest,
  GetTrustResponse,
  type Identity,
  type JoinRequest,
  JoinResponse,
  JoinServiceService,
  type OfferRequest,
  OfferResponse,
  type RenewRequest,
  RenewResponse,
} from "../../proto/gen/ashlar/v1/join.js";
import type { Clock } from "../../runtime/clock.js";
import { type BoundService, bindService, type CallContext, unary } from "../../runtime/grpc-handlers.js";
import { isNatsUserKey } from "../../runtime/nats-user-keys.js";
import { readCertificate } from "../../runtime/tls-identity-der.js";
import { parseCsr } from "../../runtime/tls-identity-request.js";
import type { AuditTrail } from "../audit/audit-trail.js";
import { audited } from "../audit/audit-trail.js";
import { dayMs } from "./authority.js";
import { readHolder, refuseRevoked, useNonce } from "./certificate-holder.js";
import {
  createIdentityIssuer,
  createProxyId,
  type IdentityIssuerDeps,
  type IssueRequest,
  type SeenHeads,
} from "./identity-issuer.js";
import type { JoinTokens } from "./join-tokens.js";
import { Nonces } from "./nonces.js";
import { createReaderIssuer } from "./reader-issuer.js";
import { SourceLimiter } from "./source-limiter.js";

export interface JoinServiceDeps extends IdentityIssuerDeps {
  readonly tokens: JoinTokens;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly random: (count: number) => Uint8Array;
  /** The nonces and the limiter that are shared with the other services of this listener. Default: new ones. */
  readonly nonces?: Nonces;
  readonly limiter?: SourceLimiter;
  /** Called for each identity that is issued, at join and at renewal. */
  readonly onIssued?: (proxy: { readonly proxyId: string; readonly service: string; readonly version: string }) => void;
  /** Called with the heads that each renewing proxy has seen, which may be ahead of this control plane. */
  readonly onSeen?: (proxyId: string, seen: SeenHeads) => void;
  /** Whether the policy in force lets any read go direct. */
  readonly hasDirectReads: () => Promise<boolean>;
  /** Takes one step of an offer by a proxy, and returns what the control plane wants next. */
  readonly takeOffer: (
    from: { readonly proxyId: string; readonly source: string },
    content: OfferContent,
  ) => Promise<readonly Digest[]>;
}

export interface JoinServiceOptions {
  /** Lifetime of certificates in milliseconds. Default: 24 hours. */
  readonly serviceTtlMs?: number;
  /** Milliseconds after its expiry during which a certificate can still be renewed. Default: 7 days. */
  readonly graceMs?: number;
  /** Lifetime of applications' certificates in milliseconds. Default: 1 hour. */
  readonly readerTtlMs?: number;
}

/** The most bytes of a request. It has room for a token, a signing request and a certificate of 16 KiB. */
export const joinMessageBytesMax = 64 * 1024;
/** The most bytes of trust records in one answer. The caller then asks for those after the last sequence that it got. */
const trustBytesMax = 3 * 1024 * 1024;
const renewPrefix = Buffer.from("ashlar-renew-v1", "ascii");

/** Returns the bytes that a renewing proxy signs. */
function renewalBytes(nonce: Uint8Array, csr: Uint8Array): Uint8Array {
  return Buffer.concat([renewPrefix, nonce, createHash("sha256").update(csr).digest()]);
}

/** Creates the limiter of requests per source on the join listener. */
export function createJoinLimiter(clock: Clock): SourceLimiter {
  return new SourceLimiter(clock, { burst: 500, perSecond: 100, sourcesMax: 10_000 });
}

/** Binds JoinService. Serve it with `messageBytesMax: joinMessageBytesMax`. */
export function createJoinService(deps: JoinServiceDeps, options: JoinServiceOptions = {}): BoundService {
  const { authority, clock, random } = deps;
  const nonces = deps.nonces ?? new Nonces(clock, random);
  const limiter = deps.limiter ?? createJoinLimiter(clock);
  const graceMs = options.graceMs ?? 7 * dayMs;
  const issueReader = createReaderIssuer({ ...deps, nonces, limiter }, options.readerTtlMs);
  const issue = issueUnlessRevoked(deps, options.serviceTtlMs === undefined ? {} : { ttlMs: options.serviceTtlMs });

  async function join(request: JoinRequest): Promise<JoinResponse> {
    const { publicKey, thumbprint } = parseCsr(request.csr);
    checkNatsUser(request.natsUser);
    const { service, controlPlane } = deps.tokens.check(request.token, thumbprint);
    if (controlPlane !== undefined) {
      const why = `the token is for control plane ${controlPlane}: give it to \`ashlar up --join\``;
      throw new AshlarError("denied", why);
    }
    if (request.service !== service) {
      throw new AshlarError("denied", `the token is for service ${service}, not ${JSON.stringify(request.service)}`);
    }
    if (deps.ledger.trust.head() === undefined)
      throw new AshlarError("unavailable", "the mesh is not ready: try again");
    const grant = deps.tokens.redeem(request.token, thumbprint, (name) => createProxyId(name, random));
    const identity = await issue({ ...grant, publicKey, natsUser: request.natsUser });
    deps.onIssued?.(grant);
    deps.log.info("a proxy joined", { proxy: grant.proxyId, service: grant.service, version: grant.version });
    return JoinResponse.fromPartial({ identity });
  }

  async function renew(request: RenewRequest): Promise<RenewResponse> {
    useNonce(nonces, request.nonce);
    const holder = readHolder(request, renewalBytes(request.nonce, request.csr), deps, graceMs);
    const { publicKey } = parseCsr(request.csr);
    checkNatsUser(request.natsUser);
    const identity = await issue({ ...holder, publicKey, natsUser: request.natsUser });
    deps.onIssued?.(holder);
    deps.onSeen?.(holder.proxyId, readSeen(request));
    return RenewResponse.fromPartial({ identity });
  }

  /** Limits a request and notes it in the audit log with the proxy's name or the reason of the refusal. */
  const noted = <Response extends JoinResponse | RenewResponse>(
    action: "join" | "renew",
    target: string,
    context: CallContext,
    act: () => Promise<Response>,
  ): Promise<Response> => {
    limiter.admit(context.source);
    const caller = { id: "anonymous", source: context.source };
    return audited(deps.audit, { action, target, caller, detail: "" }, act, ({ identity }) => ({
      target: `proxy ${identity?.proxyId ?? ""}`,
      detail: `service ${identity?.service ?? ""} version ${identity?.version ?? ""}, certificate ${serialOf(identity)}`,
    }));
  };

  return bindService(JoinServiceService, {
    getTrust: unary((request, context) => {
      limiter.admit(context.source);
      return readTrust(request, deps);
    }),
    join: unary((request, context) =>
      noted("join", `service ${JSON.stringify(request.service.slice(0, 64))}`, context, () => join(request)),
    ),
    getNonce: unary((_request, context) => {
      limiter.admit(context.source);
      return GetNonceResponse.fromPartial({ nonce: Buffer.from(nonces.create()) });
    }),
    offer: unary((request, { source }) => {
      limiter.admit(source);
      return takeOffer(request, source, deps, nonces, graceMs);
    }),
    issueReader: unary((request, { source }) => issueReader(request, source)),
    renew: unary((request, context) => noted("renew", `of mesh ${authority.mesh}`, context, () => renew(request))),
  });
}

/** Returns "" if there is none. */
function serialOf(identity: JoinResponse["identity"]): string {
  const [leaf] = identity?.certificateChain ?? [];
  return leaf === undefined ? "" : readCertificate(leaf).serial;
}

/**
 * Issues an identity unless the proxy is revoked. The check is repeated after issuing, because a revocation in between
 * does not cover the new certificate.
 */
function issueUnlessRevoked(deps: JoinServiceDeps, ttl: Pick<IssueRequest, "ttlMs">) {
  const issue = createIdentityIssuer(deps);
  return async (holder: IssueRequest & { readonly serial?: string }): Promise<Identity> => {
    refuseRevoked(deps, holder);
    const { identity } = await issue({ ...holder, ...ttl });
    refuseRevoked(deps, holder);
    return identity;
  };
}

async function takeOffer(
  request: OfferRequest,
  source: string,
  deps: JoinServiceDeps,
  nonces: Nonces,
  graceMs: number,
): Promise<OfferResponse> {
  useNonce(nonces, request.nonce);
  const holder = readHolder(request, offerSigningBytes(request.nonce, request.content), deps, graceMs);
  refuseRevoked(deps, holder);
  const { proxyId } = holder;
  const wanted = await deps.takeOffer({ proxyId, source }, parseOfferContent(request.content));
  return OfferResponse.fromPartial({
    wanted: wanted.map((digest) => Buffer.from(digestToBytes(digest))),
    nonce: Buffer.from(nonces.create()),
  });
}

function checkNatsUser(user: string): void {
  if (!isNatsUserKey(user)) throw new AshlarError("invalid_argument", "nats_user is not the public nkey of a user");
}

function readTrust(request: GetTrustRequest, { authority, ledger }: JoinServiceDeps): GetTrustResponse {
  const records: Buffer[] = [];
  let bytes = 0;
  for (const record of ledger.trust.list()) {
    if (record.body.sequence <= request.afterSequence) continue;
    bytes += record.bytes.length;
    if (bytes > trustBytesMax && records.length > 0) break;
    records.push(Buffer.from(record.bytes));
  }
  return GetTrustResponse.fromPartial({
    mesh: authority.mesh,
    rootPublicKey: Buffer.from(authority.rootPublicKey),
    records,
  });
}

function readSeen({ seenActivation, seenEpoch, trustSequence }: RenewRequest): SeenHeads {
  const activation: Digest | undefined = seenActivation.length === 32 ? digestFromBytes(seenActivation) : undefined;
  return { epoch: seenEpoch, activation, trustSequence };
}
