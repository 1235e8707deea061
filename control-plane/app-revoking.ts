/** Part of app.ts: the NATS users of revoked proxies end too, at once where the server is ours. */
import type { Revocation } from "../core/model.js";
import type { Clock } from "../runtime/clock.js";
import type { Cleanup } from "./cleanup.js";
import { type Problem, problemsAbout } from "./fleet/problems.js";
import type { IssuedCertificates } from "./identity/issued-certificates.js";
import { userLifeMs } from "./nats/revoked-users.js";
import type { UserGuard } from "./nats/user-guard.js";
import type { Ledger } from "./store/ledger.js";

export interface RevokingDeps {
  readonly ledger: Pick<Ledger, "trust">;
  readonly issued: Pick<IssuedCertificates, "find" | "usersOf">;
  /** undefined: NATS is somebody's cluster, where users end with their JWT or by its operator's hand. */
  readonly guard: UserGuard | undefined;
  readonly clock: Clock;
  readonly cleanup: Cleanup;
}

export interface UserRevoking {
  /** Ends the NATS users of a proxy, or of the proxy with this certificate; resolves when the server knows, or after a second. */
  revoke(id: string): Promise<void>;
  problems(): readonly Problem[];
}

const waitMs = 1000;
const shownMax = 20;

/** Follows the trust log, whose record may have been appended elsewhere or given back by a proxy. */
export function startRevokingUsers(deps: RevokingDeps): UserRevoking {
  const { ledger, issued, guard, clock, cleanup } = deps;
  const done = new Set<string>();
  const revokeProxy = (proxyId: string): void => guard?.revokeProxy(proxyId, issued.usersOf(proxyId));
  const follow = (): void => {
    for (const { serial } of recent(ledger, clock)) {
      const found = issued.find(serial);
      if (done.has(serial) || found === undefined) continue;
      done.add(serial);
      revokeProxy(found.proxyId);
    }
  };
  follow();
  const stop = ledger.trust.onRecord(follow);
  cleanup.add(async () => stop());
  return {
    async revoke(id) {
      revokeProxy(issued.find(id)?.proxyId ?? id);
      if (guard === undefined) return;
      const bound = new AbortController();
      await Promise.race([guard.settled(), clock.sleep(waitMs, bound.signal)]);
      bound.abort();
    },
    problems: () => [
      ...problemsAbout("nats-account", guard?.problems() ?? []),
      ...(guard === undefined ? stillGood(deps) : []),
    ],
  };
}

/** Revocations of certificates whose NATS users may not have expired yet. */
function recent(ledger: RevokingDeps["ledger"], clock: Clock): readonly Revocation[] {
  const sinceMs = clock.nowMs() - userLifeMs;
  return (ledger.trust.head()?.body.revocations ?? []).filter(({ timeMs }) => timeMs > sinceMs);
}

/** Revoked proxies whose NATS users a cluster of somebody's still lets in. */
function stillGood({ ledger, issued, clock }: RevokingDeps): readonly Problem[] {
  const untilMs = new Map<string, number>();
  for (const { serial } of recent(ledger, clock)) {
    const found = issued.find(serial);
    if (found !== undefined) untilMs.set(found.proxyId, Math.max(found.notAfterMs, untilMs.get(found.proxyId) ?? 0));
  }
  return [...untilMs]
    .filter(([, endsMs]) => endsMs > clock.nowMs())
    .slice(0, shownMax)
    .flatMap(([proxyId, endsMs]) => {
      const keys = issued.usersOf(proxyId).join(", ");
      const what = `the NATS user of revoked proxy ${proxyId}${keys === "" ? "" : ` (${keys})`} is good until ${new Date(endsMs).toISOString()}`;
      const remedy = "NATS is a cluster of yours: end it with `nsc revocations add-user` and `nsc push`";
      return problemsAbout("nats-account", [`${what}: ${remedy} (docs/nats.md)`], proxyId);
    });
}
