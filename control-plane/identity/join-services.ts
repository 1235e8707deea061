/** Builds the services of the join listener. */
import type { Clock } from "../../runtime/clock.js";
import type { BoundService } from "../../runtime/grpc-handlers.js";
import type { Logger } from "../../runtime/log.js";
import { buildFreshness, type FreshnessDeps } from "../freshness/freshness-loop.js";
import type { Members } from "../membership/members.js";
import { createMembershipService } from "../membership/membership-service.js";
import type { OpenedNats } from "../nats/open-nats.js";
import type { Recovery } from "../recover/recovery.js";
import type { Ledger } from "../store/ledger.js";
import type { Authority } from "./authority.js";
import { createJoinLimiter, createJoinService, type JoinServiceDeps } from "./join-service.js";
import { Nonces } from "./nonces.js";

export interface JoiningBase {
  readonly log: Logger;
  readonly clock: Clock;
  readonly authority: Authority;
  readonly members: Members;
  readonly random: (count: number) => Uint8Array;
}

export interface JoiningDeps
  extends Pick<JoinServiceDeps, "audit" | "tokens" | "issued" | "onIssued" | "hasDirectReads"> {
  readonly ledger: Ledger;
  readonly freshness: FreshnessDeps;
  readonly recovery: Recovery;
  readonly unsignedUntilMs: () => number;
}

/** Returns the services of the join listener: one for proxies and one for further control planes. */
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
    hasDirectReads: deps.hasDirectReads,
    audit,
    clock,
    random,
    log,
    ...shared,
  });
  const membershipService = createMembershipService({
    authority,
    tokens,
    ledger,
    audit,
    clock,
    members: base.members,
    nats: { servers: nats.access.servers, accounts: nats.accounts },
    ...shared,
  });
  return [joinService, membershipService];
}
