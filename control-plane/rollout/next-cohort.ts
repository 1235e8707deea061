/** Who is added to the cohort of a rollout when a stage begins. Pure. */
import type { Digest } from "../../core/digest.js";
import { isInCohort, placeOf } from "../../core/rollout/cohort.js";
import { type Cohort, cohortIdsMax, everyoneBasisPoints, type RolloutStage } from "../../core/rollout/rollout-model.js";
import type { FleetEntry } from "../fleet/fleet-state.js";

export const nobody: Cohort = { basisPoints: 0, proxyIds: [] };

/**
 * The cohort of `stage`: everyone who was in it before, and who the stage adds. A number and a label are made names
 * of proxies that live now, those of `affected` services first (undefined: all alike), since the others would show
 * nothing, and in the order of their places; a share that none of them is in takes in the first, so that a stage of a
 * small mesh is not one of nobody.
 */
export function growCohort(
  before: Cohort,
  stage: RolloutStage,
  rollout: Digest,
  live: readonly FleetEntry[],
  affected?: ReadonlySet<string>,
): Cohort {
  const rank = (entry: FleetEntry): number => (affected?.has(entry.heartbeat.service) === false ? 1 : 0);
  const place = (entry: FleetEntry): number => placeOf(rollout, entry.heartbeat.proxyId);
  const ids = [...live]
    .sort((a, b) => rank(a) - rank(b) || place(a) - place(b) || (a.heartbeat.proxyId < b.heartbeat.proxyId ? -1 : 1))
    .map(({ heartbeat }) => heartbeat.proxyId);
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
      return members(grown).length > 0 ? grown : addIds(grown, ids.slice(0, 1));
    }
  }
}

function hasLabel({ heartbeat }: FleetEntry, { key, value }: RolloutStage & { readonly kind: "label" }): boolean {
  return heartbeat.labels.some((label) => label.key === key && label.value === value);
}

function addIds(cohort: Cohort, ids: readonly string[]): Cohort {
  const room = cohortIdsMax - cohort.proxyIds.length;
  const fresh = ids.filter((id) => !cohort.proxyIds.includes(id)).slice(0, room);
  return { ...cohort, proxyIds: [...cohort.proxyIds, ...fresh].sort() };
}
