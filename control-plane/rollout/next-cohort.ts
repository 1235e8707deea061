/** Chooses the proxies that a stage adds to the cohort. Pure. */
import type { Digest } from "../../core/digest.js";
import { type AffectedCalls, isDecidedBy } from "../../core/rollout/affected-calls.js";
import { isInCohort, placeOf } from "../../core/rollout/cohort.js";
import { type Cohort, cohortIdsMax, everyoneBasisPoints, type RolloutStage } from "../../core/rollout/rollout-model.js";
import type { FleetEntry } from "../fleet/fleet-state.js";

export const nobody: Cohort = { basisPoints: 0, proxyIds: [] };

/**
 * Returns the cohort of `stage`: the one before, and the proxies that the stage adds. A number or a label selects named
 * proxies that are live now: first those that decide about affected calls (undefined: all count), because the others
 * would show nothing, in turns by service, and otherwise in the order of their places. A share also includes one proxy
 * for each part of the change that it would leave out, so that a stage of a small mesh shows something.
 */
export function growCohort(
  before: Cohort,
  stage: RolloutStage,
  rollout: Digest,
  live: readonly FleetEntry[],
  affected?: readonly AffectedCalls[],
): Cohort {
  const ids = orderedIds(rollout, live, affected);
  const members = (cohort: Cohort): readonly string[] => ids.filter((id) => isInCohort(cohort, rollout, id));
  switch (stage.kind) {
    case "count": {
      const missing = stage.count - members(before).length;
      return missing <= 0
        ? before
        : addIds(before, ids.filter((id) => !isInCohort(before, rollout, id)).slice(0, missing));
    }
    case "label": {
      const labelled = new Set(
        live.filter((entry) => hasLabel(entry, stage)).map(({ heartbeat }) => heartbeat.proxyId),
      );
      return addIds(
        before,
        ids.filter((id) => labelled.has(id)),
      );
    }
    case "percent": {
      if (stage.basisPoints >= everyoneBasisPoints) return { basisPoints: everyoneBasisPoints, proxyIds: [] };
      const grown = { ...before, basisPoints: Math.max(before.basisPoints, stage.basisPoints) };
      const whole = addIds(grown, leftOut(grown, rollout, ids, live, affected ?? []));
      return members(whole).length > 0 ? whole : addIds(whole, ids.slice(0, 1));
    }
  }
}

/** Sorts proxies so that those that decide about most parts of the change come first. */
function orderedIds(
  rollout: Digest,
  live: readonly FleetEntry[],
  affected: readonly AffectedCalls[] | undefined,
): readonly string[] {
  const placed = live
    .map(({ heartbeat: { proxyId, service } }) => ({
      proxyId,
      service,
      place: placeOf(rollout, proxyId),
      rank: rankOf(service, affected),
      turn: 0,
    }))
    .sort((a, b) => a.place - b.place || (a.proxyId < b.proxyId ? -1 : 1));
  if (affected !== undefined) {
    const turns = new Map<string, number>();
    for (const one of placed) {
      one.turn = turns.get(one.service) ?? 0;
      turns.set(one.service, one.turn + 1);
    }
  }
  // the sort is stable, so equals stay in the order of their places
  const isAffected = (one: { readonly rank: number }): number => (one.rank < notAffected ? 0 : 1);
  return placed
    .sort((a, b) => isAffected(a) - isAffected(b) || a.turn - b.turn || a.rank - b.rank)
    .map(({ proxyId }) => proxyId);
}

const notAffected = 2;

/** Returns 0 if the change affects inbound calls of the proxy, and 1 if it affects its outbound calls. */
function rankOf(service: string, affected: readonly AffectedCalls[] | undefined): number {
  const own = (affected ?? []).filter((about) => isDecidedBy(about, service));
  if (affected === undefined || own.some(({ side }) => side === "destination")) return 0;
  return own.length > 0 ? 1 : notAffected;
}

function leftOut(
  cohort: Cohort,
  rollout: Digest,
  ids: readonly string[],
  live: readonly FleetEntry[],
  affected: readonly AffectedCalls[],
): readonly string[] {
  const serviceOf = new Map(live.map(({ heartbeat }) => [heartbeat.proxyId, heartbeat.service]));
  const added: string[] = [];
  for (const about of affected) {
    const deciding = ids.filter((id) => isDecidedBy(about, serviceOf.get(id) ?? ""));
    if (deciding.some((id) => added.includes(id) || isInCohort(cohort, rollout, id))) continue;
    added.push(...deciding.slice(0, 1));
  }
  return added;
}

function hasLabel({ heartbeat }: FleetEntry, { key, value }: RolloutStage & { readonly kind: "label" }): boolean {
  return heartbeat.labels.some((label) => label.key === key && label.value === value);
}

function addIds(cohort: Cohort, ids: readonly string[]): Cohort {
  const room = cohortIdsMax - cohort.proxyIds.length;
  const fresh = ids.filter((id) => !cohort.proxyIds.includes(id)).slice(0, room);
  return { ...cohort, proxyIds: [...cohort.proxyIds, ...fresh].sort() };
}
