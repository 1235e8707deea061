/** The join listener: tokens and renewals in, identities out. The caller has no certificate here. */
import { createHash } from "node:crypto";
import { type Digest, digestFromBytes } from "../../core/digest.js";
import { AshlarError, isAshlarError, messageOf } from "../../core/errors.js";
import { isLabel, nameIn } from "../../core/identity.js";
import {
  GetNonceResponse,
  type GetTrustRequest,
  GetTrustResponse,
  type JoinRequest,
  JoinResponse,
  JoinServiceService,
  type RenewRequest,
  RenewResponse,
} from "../../proto/gen/ashlar/v1/join.js";
import type { Clock } from "../../runtime/clock.js";
import { type BoundService, bindService, type CallContext, unary } from "../../runtime/grpc-handlers.js";
import { isNatsUserKey } from "../../runtime/nats-user-keys.js";
import { readCertificate, readName } from "../../runtime/tls-identity-der.js";
import { verifyEcdsa } from "../../runtime/tls-identity-keys.js";
import { parseCsr } from "../../runtime/tls-identity-request.js";
import type { AuditTrail } from "../audit/audit-trail.js";
import { audited } from "../audit/audit-trail.js";
import { dayMs } from "./authority.js";
import { createIdentityIssuer, createProxyId, type IdentityIssuerDeps, type SeenHeads } from "./identity-issuer.js";
import type { JoinTokens } from "./join-tokens.js";
import { Nonces } from "./nonces.js";
import { SourceLimiter } from "./source-limiter.js";

export interface JoinServiceDeps extends IdentityIssuerDeps {
  readonly tokens: JoinTokens;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly random: (count: number) => Uint8Array;
  /** Shared with whatever else asks for proofs on this listener; their own unless given. */
  readonly nonces?: Nonces;
  readonly limiter?: SourceLimiter;
  /** Hears of each identity that is given out, at join and renewal. */
  readonly onIssued?: (proxy: { readonly proxyId: string; readonly service: string; readonly version: string }) => void;
  /** Hears what each renewing proxy has seen of the logs; it may be ahead of this control plane. */
  readonly onSeen?: (proxyId: string, seen: SeenHeads) => void;
}

export interface JoinServiceOptions {
  /** How long certificates live; 24 h unless stated. */
  readonly serviceTtlMs?: number;
  /** How long after its end a certificate may still renew; 7 days unless stated. */
  readonly graceMs?: number;
}

/** Above all that a request has: a token, a request and a certificate of at most 16 KiB. */
export const joinMessageBytesMax = 64 * 1024;
const trustBytesMax = 3 * 1024 * 1024; // of one answer; a caller asks on behind the last sequence it got
const renewPrefix = Buffer.from("ashlar-renew-v1", "ascii");

/** What a renewing proxy signs. */
function renewalBytes(nonce: Uint8Array, csr: Uint8Array): Uint8Array {
  return Buffer.concat([renewPrefix, nonce, createHash("sha256").update(csr).digest()]);
}

/** How often one source may ask on the join listener. */
export function createJoinLimiter(clock: Clock): SourceLimiter {
  return new SourceLimiter(clock, { burst: 500, perSecond: 100, sourcesMax: 10_000 });
}

/** Binds JoinService. Serve it with `messageBytesMax: joinMessageBytesMax`. */
export function createJoinService(deps: JoinServiceDeps, options: JoinServiceOptions = {}): BoundService {
  const { authority, clock, random } = deps;
  const issue = createIdentityIssuer(deps);
  const nonces = deps.nonces ?? new Nonces(clock, random);
  const limiter = deps.limiter ?? createJoinLimiter(clock);
  const ttl = options.serviceTtlMs === undefined ? {} : { ttlMs: options.serviceTtlMs };

  async function join(request: JoinRequest): Promise<JoinResponse> {
    const { publicKey, thumbprint } = parseCsr(request.csr);
    checkNatsUser(request.natsUser);
    const { service, controlPlane } = deps.tokens.check(request.token, thumbprint);
    if (controlPlane !== undefined) {
      throw new AshlarError(
        "denied",
        `the token is for control plane ${controlPlane}: give it to \`ashlar up --join\``,
      );
    }
    if (request.service !== service) {
      throw new AshlarError("denied", `the token is for service ${service}, not ${JSON.stringify(request.service)}`);
    }
    if (deps.ledger.trust.head() === undefined)
      throw new AshlarError("unavailable", "the mesh is not ready: try again");
    const grant = deps.tokens.redeem(request.token, thumbprint, (name) => createProxyId(name, random));
    refuseRevoked(deps, grant.proxyId);
    const { identity } = await issue({ ...grant, ...ttl, publicKey, natsUser: request.natsUser });
    deps.onIssued?.(grant);
    return JoinResponse.fromPartial({ identity });
  }

  async function renew(request: RenewRequest): Promise<RenewResponse> {
    if (!nonces.take(request.nonce)) {
      throw new AshlarError("unauthenticated", "the nonce is unknown, was used already or is older than a minute");
    }
    const holder = readHolder(request, deps, options.graceMs ?? 7 * dayMs);
    refuseRevoked(deps, holder.proxyId);
    const { publicKey } = parseCsr(request.csr);
    checkNatsUser(request.natsUser);
    const { identity } = await issue({ ...holder, ...ttl, publicKey, natsUser: request.natsUser });
    deps.onIssued?.(holder);
    deps.onSeen?.(holder.proxyId, readSeen(request));
    return RenewResponse.fromPartial({ identity });
  }

  /** Limits and notes a request; the note names the proxy, or says why not. */
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
    renew: unary((request, context) => noted("renew", `of mesh ${authority.mesh}`, context, () => renew(request))),
  });
}

/** "" where there is none. */
function serialOf(identity: JoinResponse["identity"]): string {
  const [leaf] = identity?.certificateChain ?? [];
  return leaf === undefined ? "" : readCertificate(leaf).serial;
}

/** A proxy that was revoked stays out, whatever else it got before: with a new token it is another proxy. */
function refuseRevoked({ ledger, issued }: JoinServiceDeps, proxyId: string): void {
  const revoked = new Set(ledger.trust.head()?.body.revocations.map(({ serial }) => serial));
  if (issued.serialsOf(proxyId).some((serial) => revoked.has(serial)))
    throw new AshlarError("unauthenticated", `proxy ${proxyId} was revoked: join anew with another token`);
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

/** Who holds the certificate of a renewal: issued here, not revoked, not too long expired, and its key signed. */
function readHolder(request: RenewRequest, deps: JoinServiceDeps, graceMs: number) {
  const { authority, ledger, clock } = deps;
  const fields = asUnauthenticated(() => readCertificate(request.certificate));
  const nowMs = clock.nowMs();
  if (nowMs > fields.notAfterMs + graceMs) {
    const at = new Date(fields.notAfterMs).toISOString();
    throw new AshlarError("unauthenticated", `the certificate expired at ${at}, too long ago: join again with a token`);
  }
  const svid = asUnauthenticated(() =>
    authority.verifyIssued(request.certificate, Math.min(nowMs, fields.notAfterMs), request.chain),
  );
  const service = nameIn(svid.spiffeId, authority.mesh, "service");
  if (service === undefined) throw new AshlarError("unauthenticated", "only a service's certificate is renewed here");
  if (ledger.trust.head()?.body.revocations.some(({ serial }) => serial === svid.serial)) {
    throw new AshlarError("unauthenticated", "the certificate is revoked");
  }
  if (!verifyEcdsa(renewalBytes(request.nonce, request.csr), request.signature, fields.publicKey)) {
    throw new AshlarError("unauthenticated", "the signature is not by the certificate's key");
  }
  const { organization: version, commonName: proxyId } = readName(fields.subject);
  if (!isLabel(proxyId)) throw new AshlarError("unauthenticated", "the certificate names no proxy");
  return { service, version, proxyId };
}

function asUnauthenticated<Result>(act: () => Result): Result {
  try {
    return act();
  } catch (cause) {
    if (isAshlarError(cause, "unauthenticated")) throw cause;
    throw new AshlarError("unauthenticated", messageOf(cause), { cause });
  }
}

function readSeen({ seenActivation, seenEpoch, trustSequence }: RenewRequest): SeenHeads {
  const activation: Digest | undefined = seenActivation.length === 32 ? digestFromBytes(seenActivation) : undefined;
  return { epoch: seenEpoch, activation, trustSequence };
}
