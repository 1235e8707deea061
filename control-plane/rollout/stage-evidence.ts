/** What the fleet says about a stage, put side by side: the cohort, and what it is compared with. Pure. */
import { type Activation, type CallCounts, type Heartbeat, type Signed, tookBoundsMs } from "../../core/model.js";
import { isInCohort, revisionFor } from "../../core/rollout/cohort.js";
import type { StageOfRollout } from "../../core/rollout/rollout-model.js";
import type { FleetEntry } from "../fleet/fleet-state.js";

/** An activation that is a stage of a rollout. */
export type StageHead = Signed<Activation> & { readonly body: Activation & { readonly rollout: StageOfRollout } };

export interface StageEvidence {
  /** Live members of the cohort. */
  readonly members: readonly FleetEntry[];
  /** Of those, the ones that evaluate the candidate by this epoch. */
  readonly active: readonly FleetEntry[];
  /** Members that went silent since the stage began. */
  readonly silent: readonly FleetEntry[];
  /** By service, sorted: what its members in the cohort counted, and what that is compared with. */
  readonly services: readonly ServiceEvidence[];
}

export interface ServiceEvidence {
  readonly service: string;
  readonly cohort: CallCounts;
  /** Of the service's proxies on the base; where those are too few, with what members counted under it before. */
  readonly compared: CallCounts;
}

const nothing: CallCounts = { calls: 0, refused: 0, failed: 0, took: [] };

/** `samples`: calls that are enough to compare with. */
export function gatherEvidence(entries: readonly FleetEntry[], head: StageHead, samples: number): StageEvidence {
  const { rollout, timeMs } = head.body;
  const isMember = ({ heartbeat }: FleetEntry): boolean =>
    isInCohort(rollout.cohort, rollout.digest, heartbeat.proxyId);
  const live = entries.filter((entry) => entry.live);
  const members = live.filter(isMember);
  const active = members.filter(({ heartbeat }) => isAt(heartbeat, head));
  const others = live.filter((entry) => !isMember(entry) && isAt(entry.heartbeat, head));
  const services = [...new Set(active.map(({ heartbeat }) => heartbeat.service))].sort();
  return {
    members,
    active,
    silent: entries.filter((entry) => !entry.live && entry.lastSeenMs >= timeMs && isMember(entry)),
    services: services.map((service) => {
      const own = active.filter(({ heartbeat }) => heartbeat.service === service);
      const base = total(others.filter(({ heartbeat }) => heartbeat.service === service).map(callsOf));
      const before = own.map(({ heartbeat }) => heartbeat.callsBefore ?? nothing);
      const compared = base.calls > 0 && base.calls >= samples ? base : total([base, ...before]);
      return { service, cohort: total(own.map(callsOf)), compared };
    }),
  };
}

/** Whether the proxy's counts are of this epoch, under the revision that the epoch has for it. */
export function isAt(heartbeat: Heartbeat, { body }: Signed<Activation>): boolean {
  return (
    heartbeat.evaluatingEpoch === body.epoch &&
    heartbeat.evaluatingDigest === revisionFor(body, heartbeat.proxyId).digest
  );
}

const callsOf = ({ heartbeat }: FleetEntry): CallCounts => heartbeat.calls ?? nothing;

export function total(counts: readonly CallCounts[]): CallCounts {
  const took = counts.some((one) => one.took.length > 0)
    ? Array.from({ length: tookBoundsMs.length + 1 }, (_, place) => sum(counts, (one) => one.took[place] ?? 0))
    : [];
  return {
    calls: sum(counts, (one) => one.calls),
    refused: sum(counts, (one) => one.refused),
    failed: sum(counts, (one) => one.failed),
    took,
  };
}

function sum(counts: readonly CallCounts[], of: (one: CallCounts) => number): number {
  return counts.reduce((all, one) => all + of(one), 0);
}
