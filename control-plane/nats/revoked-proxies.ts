/**
 * Ends the NATS users of revoked proxies: at once on a private server, and with the expiry of their JWT on a cluster.
 */
import type { Revocation } from "../../core/model.js";
import type { Clock } from "../../runtime/clock.js";
import type { Cleanup } from "../cleanup.js";
import { type Problem, problemsAbout } from "../fleet/problems.js";
import type { IssuedCertificates } from "../identity/issued-certificates.js";
import type { Ledger } from "../store/ledger.js";
import { userLifeMs } from "./revoked-users.js";
import type { UserGuard } from "./user-guard.js";

export interface RevokingDeps {
  readonly ledger: Pick<Ledger, "trust">;
  readonly issued: Pick<IssuedCertificates, "find" | "usersOf">;
  /**
   * undefined if NATS is a cluster that Ashlar does not run: users then end when their JWT expires, or when the
   * operator of NATS revokes them.
   */
  readonly guard: UserGuard | undefined;
  readonly clock: Clock;
  readonly cleanup: Cleanup;
}

export interface UserRevoking {
  /**
   * Ends the NATS users of a proxy, given by its id or a certificate's serial number. Resolves when the server has
   * acknowledged it, or after one second.
   */
  revoke(id: string): Promise<void>;
  problems(): readonly Problem[];
}

const waitMs = 1000;
const shownMax = 20;

/** Follows the trust log, because another control plane may append a revocation, or a proxy may give one back. */
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

/** Returns the revocations of certificates whose NATS users may not have expired yet. */
function recent(ledger: RevokingDeps["ledger"], clock: Clock): readonly Revocation[] {
  const sinceMs = clock.nowMs() - userLifeMs;
  return (ledger.trust.head()?.body.revocations ?? []).filter(({ timeMs }) => timeMs > sinceMs);
}

/** Returns a problem for each revoked proxy that a cluster still lets in. */
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
