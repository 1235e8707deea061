/**
 * The service by which the control plane that began the mesh lets further ones join. Other control planes refuse its
 * calls.
 */
import { verify } from "node:crypto";
import { AshlarError } from "../../core/errors.js";
import type { Signed, Trust } from "../../core/model.js";
import { keyIdOf, publicKeyFromBytes } from "../../core/signature.js";
import { delegateSigning } from "../../core/trust.js";
import {
  type JoinControlPlaneRequest,
  JoinControlPlaneResponse,
  Membership,
  MembershipServiceService,
  type RenewControlPlaneRequest,
  RenewControlPlaneResponse,
} from "../../proto/gen/ashlar/v1/membership.js";
import type { Clock } from "../../runtime/clock.js";
import { type BoundService, bindService, type CallContext, unary } from "../../runtime/grpc-handlers.js";
import type { NatsAccounts } from "../../runtime/nats-accounts.js";
import { parseCsr } from "../../runtime/tls-identity-request.js";
import { type AuditTrail, audited } from "../audit/audit-trail.js";
import type { Authority } from "../identity/authority.js";
import type { JoinTokens } from "../identity/join-tokens.js";
import type { Nonces } from "../identity/nonces.js";
import type { SourceLimiter } from "../identity/source-limiter.js";
import type { Ledger } from "../store/ledger.js";
import { appendTrust, requireTrust } from "../trust/append-trust.js";
import type { Members } from "./members.js";
import { delegationBytes, memberThumbprint, renewalBytes } from "./membership-proof.js";

export interface MembershipServiceDeps {
  readonly authority: Authority;
  readonly tokens: JoinTokens;
  readonly ledger: Pick<Ledger, "trust">;
  readonly nats: { readonly servers: readonly string[]; readonly accounts: NatsAccounts };
  /** The join listeners of the mesh, our own and others'. */
  readonly members: Members;
  readonly nonces: Nonces;
  readonly limiter: SourceLimiter;
  readonly audit: AuditTrail;
  readonly clock: Clock;
}

const addressForm = /^[^\s,]{1,255}:\d{1,5}$/;

/** Binds MembershipService. Serve it on the join listener. */
export function createMembershipService(deps: MembershipServiceDeps): BoundService {
  const { authority, ledger } = deps;

  async function place(name: string, caKey: Uint8Array, trust: Signed<Trust>): Promise<Membership> {
    return Membership.fromPartial({
      mesh: authority.mesh,
      name,
      intermediate: Buffer.from(authority.issueIntermediate(caKey)),
      root: Buffer.from(authority.caDer),
      trust: Buffer.from(trust.bytes),
      natsServers: [...deps.nats.servers],
      ...seedsOf(deps.nats.accounts),
      joinAddresses: [...deps.members.addresses()],
    });
  }

  async function join(request: JoinControlPlaneRequest): Promise<Membership> {
    requireRoot(authority);
    const { publicKey, thumbprint } = parseCsr(request.csr);
    const signingKey = new Uint8Array(request.signingKey);
    if (!provesKey(delegationBytes(request.csr), request.signature, signingKey)) {
      throw new AshlarError("invalid_argument", "the signature is not by the signing key");
    }
    const both = memberThumbprint(thumbprint, signingKey);
    const { service, controlPlane } = deps.tokens.check(request.token, both);
    if (controlPlane === undefined) {
      throw new AshlarError("denied", `the token is for a proxy of service ${service}, not for a control plane`);
    }
    const key = { kid: keyIdOf(signingKey), publicKey: signingKey, holder: controlPlane };
    // checked first, so that a request with a taken name does not use up the token
    delegateSigning(requireTrust(ledger), key, 0);
    deps.tokens.redeem(request.token, both, () => controlPlane);
    const { trust } = await appendTrust(deps, (head) => delegateSigning(head, key, deps.clock.nowMs()));
    return place(controlPlane, publicKey, trust);
  }

  async function renew(request: RenewControlPlaneRequest): Promise<Membership> {
    requireRoot(authority);
    if (!deps.nonces.take(request.nonce)) {
      throw new AshlarError("unauthenticated", "the nonce is unknown, was used already or is older than a minute");
    }
    const head = requireTrust(ledger);
    const key = head.body.signingKeys.find(({ kid }) => kid === request.kid);
    if (key === undefined || key.holder === authority.name) {
      throw new AshlarError("unauthenticated", "the signing key is not one of a further control plane of this mesh");
    }
    if (!provesKey(renewalBytes(request), request.signature, key.publicKey)) {
      throw new AshlarError("unauthenticated", "the signature is not by the signing key");
    }
    const { publicKey } = parseCsr(request.csr);
    if (addressForm.test(request.joinAddress)) deps.members.set(key.holder, request.joinAddress);
    return place(key.holder, publicKey, head);
  }

  const noted = (
    action: "join" | "renew",
    context: CallContext,
    act: () => Promise<Membership>,
  ): Promise<Membership> => {
    deps.limiter.admit(context.source);
    const caller = { id: "anonymous", source: context.source };
    return audited(deps.audit, { action, target: "control plane", caller, detail: "" }, act, ({ name }) => ({
      target: `control plane ${name}`,
    }));
  };

  return bindService(MembershipServiceService, {
    joinControlPlane: unary(async (request, context) =>
      JoinControlPlaneResponse.fromPartial({ membership: await noted("join", context, () => join(request)) }),
    ),
    renewControlPlane: unary(async (request, context) =>
      RenewControlPlaneResponse.fromPartial({ membership: await noted("renew", context, () => renew(request)) }),
    ),
  });
}

/** Returns the seeds with which a further control plane mints NATS users for itself and for proxies. */
function seedsOf({ mesh, proxies }: NatsAccounts) {
  return {
    natsAccount: proxies.publicKey,
    natsAccountSeed: proxies.seed,
    natsMeshAccount: mesh.publicKey,
    natsMeshAccountSeed: mesh.seed,
  };
}

function requireRoot({ holdsRoot }: Authority): void {
  if (holdsRoot) return;
  throw new AshlarError(
    "unavailable",
    "this control plane does not hold the root key: the one that began the mesh does",
  );
}

function provesKey(bytes: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean {
  try {
    return verify(null, bytes, publicKeyFromBytes(publicKey), signature);
  } catch {
    return false;
  }
}
