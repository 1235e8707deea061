/** Parts of app.ts: what the join listener serves, and the signed heads of the audit log. */
import { buildSpiffeId } from "../core/identity.js";
import type { Clock } from "../runtime/clock.js";
import type { BoundService } from "../runtime/grpc-handlers.js";
import type { Logger } from "../runtime/log.js";
import type { OpenedNats } from "./app-nats.js";
import { runAuditHeads } from "./audit/audit-heads.js";
import type { AuditLog } from "./audit/audit-log.js";
import { buildFreshness, type FreshnessDeps } from "./freshness/freshness-loop.js";
import type { Authority } from "./identity/authority.js";
import { createJoinLimiter, createJoinService, type JoinServiceDeps } from "./identity/join-service.js";
import { Nonces } from "./identity/nonces.js";
import type { Members } from "./membership/members.js";
import { createMembershipService } from "./membership/membership-service.js";
import type { Recovery } from "./recover/recovery.js";
import type { Ledger } from "./store/ledger.js";

export interface JoiningBase {
  readonly log: Logger;
  readonly clock: Clock;
  readonly authority: Authority;
  readonly members: Members;
  readonly random: (count: number) => Uint8Array;
}

export interface JoiningDeps extends Pick<JoinServiceDeps, "audit" | "tokens" | "issued" | "onIssued"> {
  readonly ledger: Ledger;
  readonly freshness: FreshnessDeps;
  readonly recovery: Recovery;
  readonly unsignedUntilMs: () => number;
}

/** Begins to sign how far the audit log goes; returns the way to end it, with one more head. */
export function signHeads(
  { authority, clock }: Pick<JoiningBase, "authority" | "clock">,
  log: AuditLog,
): () => Promise<void> {
  const { mesh, name, signer } = authority;
  const stop = new AbortController();
  const actor = buildSpiffeId(mesh, "control-plane", name);
  const signing = runAuditHeads({ mesh, actor, log, signer, clock }, stop.signal);
  return () => {
    stop.abort();
    return signing;
  };
}

/** What the join listener serves: proxies, and further control planes. */
export function openJoinServices(base: JoiningBase, nats: OpenedNats, deps: JoiningDeps): readonly BoundService[] {
  const { log, clock, authority, random } = base;
  const { ledger, audit, tokens, recovery } = deps;
  const shared = { nonces: new Nonces(clock, random), limiter: createJoinLimiter(clock) };
  const joinService = createJoinService({
    authority,
    issued: deps.issued,
    ledger,
    tokens,
    freshness: () => buildFreshness(deps.freshness).bytes,
    natsUserJwt: nats.access.mintProxyUser,
    natsServers: () => nats.access.servers,
    natsCaPem: "",
    unsignedUntilMs: deps.unsignedUntilMs,
    ...(deps.onIssued && { onIssued: deps.onIssued }),
    onSeen: recovery.hearSeen,
    takeOffer: recovery.takeOffer,
    audit,
    clock,
    random,
    log,
    ...shared,
  });
  const membershipService = createMembershipService({
    ...{ authority, tokens, ledger, audit, clock, members: base.members },
    nats: { servers: nats.access.servers, accounts: nats.accounts },
    ...shared,
  });
  return [joinService, membershipService];
}
