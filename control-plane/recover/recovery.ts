/** Recovers what a control plane's logs lost: what proxies claim, what they give back, and what nobody had. */
import type { Digest } from "../../core/digest.js";
import { messageOf } from "../../core/errors.js";
import { type OfferContent, type OfferedLog, offeredLogs } from "../../core/wire/offers.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { AuditTrail } from "../audit/audit-trail.js";
import type { FleetView } from "../fleet/fleet-loop.js";
import { type Problem, problemsAbout } from "../fleet/problems.js";
import type { SeenHeads } from "../identity/identity-issuer.js";
import type { Ledger } from "../store/ledger.js";
import { conflictProblems, findConflicts, recordWords, renderConflict } from "./conflicts.js";
import type { FloorGuard } from "./floor-guard.js";
import { findLostParts } from "./lost-parts.js";
import { type GivenBack, OfferDesk } from "./offer-desk.js";

export interface RecoveryDeps {
  readonly ledger: Ledger;
  readonly guard: FloorGuard;
  /** The fleet with the roster of the last run. */
  readonly fleet: FleetView;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Recovery {
  hearSeen(proxyId: string, seen: SeenHeads): void;
  takeOffer(
    from: { readonly proxyId: string; readonly source: string },
    content: OfferContent,
  ): Promise<readonly Digest[]>;
  problems(): readonly Problem[];
}

/** The milliseconds after which lost parts are looked for again, since they may have arrived in other ways. */
const lookAgainMs = 10_000;

export function openRecovery(deps: RecoveryDeps): Recovery {
  const { ledger, guard, clock } = deps;
  const mayGoPast = findEmptyLogs(ledger, clock.nowMs());
  const desk = new OfferDesk({ ledger, clock, mayGoPast: (log) => mayGoPast.has(log) });
  for (const { heartbeat, revoked } of deps.fleet.list()) if (revoked === undefined) guard.hear(heartbeat);
  deps.fleet.onChange((entry) => {
    if (entry !== undefined) guard.hear(entry.heartbeat);
  });
  let lostParts: readonly string[] = [];
  let lookedMs = 0;
  const look = async (): Promise<void> => {
    lookedMs = clock.monotonicMs();
    try {
      lostParts = await findLostParts(ledger);
    } catch (error) {
      deps.log.warn("cannot tell which records the logs have lost", { why: messageOf(error) });
    }
  };
  const told = new Set<Digest>(findConflicts(ledger).map(({ rival }) => rival.digest));
  const tellConflicts = ({ proxyId, source }: { readonly proxyId: string; readonly source: string }): void => {
    for (const conflict of findConflicts(ledger)) {
      const { log, key, held, rival } = conflict;
      if (told.has(rival.digest)) continue;
      told.add(rival.digest);
      deps.log.error("two records of one number were signed", { why: renderConflict(conflict) });
      const about = { action: "recover", target: `${recordWords[log]} ${key}`, outcome: "conflict" } as const;
      const detail = `${held.digest} in the log, ${rival.digest} shown`;
      void deps.audit.record({ actor: proxyId, source, ...about, detail });
    }
  };
  return {
    hearSeen: (proxyId, seen) => guard.hearSeen(proxyId, seen),
    async takeOffer(from, content) {
      const { wanted, given } = await desk.take(from.proxyId, content);
      tellConflicts(from);
      const what = wanted.length === 0 ? renderGiven(given) : "";
      if (what !== "") {
        deps.log.warn("a proxy returned records that the logs had lost", { proxy: from.proxyId, what });
        void deps.audit.record({
          actor: from.proxyId,
          source: from.source,
          action: "recover",
          target: "the logs",
          outcome: "ok",
          detail: `given back: ${what}`,
        });
        void look();
      }
      return wanted;
    },
    problems() {
      if (lostParts.length > 0 && clock.monotonicMs() - lookedMs > lookAgainMs) void look();
      const heartbeats = deps.fleet.list().map(({ heartbeat }) => heartbeat);
      const conflicts = conflictProblems(findConflicts(ledger), heartbeats);
      return [...conflicts, ...problemsAbout("recovery", [...guard.problems(), ...lostParts])];
    },
  };
}

/**
 * Returns the logs that are empty now, until something new is signed for them. Only these may continue past what is
 * lost.
 */
function findEmptyLogs(ledger: Ledger, startMs: number): ReadonlySet<OfferedLog> {
  const empty = new Set<OfferedLog>(offeredLogs.filter((log) => ledger[log].head() === undefined));
  for (const log of offeredLogs) {
    const off = ledger[log].onRecord(({ body }: { readonly body: { readonly timeMs: number } }) => {
      if (body.timeMs < startMs) return;
      empty.delete(log);
      off();
    });
  }
  return empty;
}

function renderGiven({ records, blobs }: GivenBack): string {
  const counts = offeredLogs.filter((log) => records[log] > 0).map((log) => `${records[log]} of ${log}`);
  if (blobs > 0) counts.push(`${blobs} units and lists`);
  return counts.join(", ");
}
