/**
 * Collects the fleet's counts of the affected calls: those of the cohort, and those that they are compared with. Pure.
 */
import {
  type Activation,
  type CallCounts,
  type Heartbeat,
  type MethodCounts,
  type Signed,
  tookBoundsMs,
} from "../../core/model.js";
import { type AffectedCalls, isDecidedBy, isJudged, namesMethod } from "../../core/rollout/affected-calls.js";
import { isInCohort, revisionFor } from "../../core/rollout/cohort.js";
import type { StageOfRollout } from "../../core/rollout/rollout-model.js";
import type { FleetEntry } from "../fleet/fleet-state.js";

/** An activation that is a stage of a rollout. */
export type StageHead = Signed<Activation> & { readonly body: Activation & { readonly rollout: StageOfRollout } };

export interface StageEvidence {
  /** The live members of the cohort. */
  readonly members: readonly FleetEntry[];
  /** The members that evaluate the candidate by this epoch. */
  readonly active: readonly FleetEntry[];
  /** Members that went silent since the stage began. */
  readonly silent: readonly FleetEntry[];
  /** The affected calls, part by part; undefined while they are not known yet. */
  readonly parts: readonly PartEvidence[] | undefined;
}

/** The counts of one part of the affected calls. */
export interface PartEvidence {
  readonly about: AffectedCalls;
  /** The number of live proxies that decide about such calls; 0 also if no live proxy makes any. */
  readonly deciding: number;
  /** Members of the cohort among them that evaluate the candidate. */
  readonly members: readonly FleetEntry[];
  /** Members whose version does not count calls by method, or by caller where that is needed. */
  readonly untold: readonly FleetEntry[];
  readonly cohort: CallCounts;
  readonly compared: CallCounts;
  /** Counts by service of the proxies, sorted. */
  readonly services: readonly ServiceEvidence[];
}

export interface ServiceEvidence {
  /** The service whose proxies counted. */
  readonly service: string;
  readonly about: AffectedCalls;
  readonly cohort: CallCounts;
  /**
   * What the service's proxies counted on the base; if that is too little, also what members counted under the base
   * before.
   */
  readonly compared: CallCounts;
}

/**
 * Gathers the evidence. `samples`: the number of calls that are enough for comparison. `sinceMs`: when the stage began,
 * on the clock of `entries`.
 */
export function gatherEvidence(
  entries: readonly FleetEntry[],
  head: StageHead,
  affected: readonly AffectedCalls[] | undefined,
  { samples, sinceMs }: { readonly samples: number; readonly sinceMs: number },
): StageEvidence {
  const { rollout } = head.body;
  const isMember = ({ heartbeat }: FleetEntry): boolean =>
    isInCohort(rollout.cohort, rollout.digest, heartbeat.proxyId);
  const live = entries.filter((entry) => entry.live);
  const members = live.filter(isMember);
  const active = members.filter(({ heartbeat }) => isAt(heartbeat, head));
  const others = live.filter((entry) => !isMember(entry) && isAt(entry.heartbeat, head));
  return {
    members,
    active,
    silent: entries.filter((entry) => !entry.live && entry.lastSeenMs >= sinceMs && isMember(entry)),
    parts: affected?.map((about) => gatherPart(about, { live, active, others }, samples)),
  };
}

interface Sides {
  readonly live: readonly FleetEntry[];
  readonly active: readonly FleetEntry[];
  readonly others: readonly FleetEntry[];
}

function gatherPart(about: AffectedCalls, sides: Sides, samples: number): PartEvidence {
  const decides = ({ heartbeat }: FleetEntry): boolean => isDecidedBy(about, heartbeat.service);
  const calls = ({ heartbeat }: FleetEntry): boolean =>
    about.callers === undefined || about.callers.includes(heartbeat.service);
  const members = sides.active.filter(decides);
  const others = sides.others.filter(decides);
  const names = [...new Set(members.map(({ heartbeat }) => heartbeat.service))].sort();
  const services = names.map((service): ServiceEvidence => {
    const isOf = ({ heartbeat }: FleetEntry): boolean => heartbeat.service === service;
    const own = members.filter(isOf);
    const base = total(others.filter(isOf).map(({ heartbeat }) => select(about, heartbeat.calls)));
    const before = own.map(({ heartbeat }) => select(about, heartbeat.callsBefore));
    const compared = base.calls > 0 && base.calls >= samples ? base : total([base, ...before]);
    return { service, about, cohort: total(own.map(({ heartbeat }) => select(about, heartbeat.calls))), compared };
  });
  return {
    about,
    deciding: sides.live.some(calls) ? sides.live.filter(decides).length : 0,
    members,
    untold: members.filter(
      ({ heartbeat: { calls } }) => calls !== undefined && calls.calls > 0 && !tells(about, calls),
    ),
    cohort: total(services.map((one) => one.cohort)),
    compared: total(services.map((one) => one.compared)),
    services,
  };
}

/** Returns whether the counts are detailed enough for the affected calls. */
function tells({ side, callers }: AffectedCalls, { methods }: CallCounts): boolean {
  if (methods === undefined || side === "caller" || callers === undefined) return methods !== undefined;
  return methods.every(({ outbound, caller }) => outbound || caller !== undefined);
}

/** Returns the counts of those calls that the change is about. */
function select(about: AffectedCalls, counts: CallCounts | undefined): CallCounts {
  const isAbout = ({ outbound, service, method, caller }: MethodCounts): boolean =>
    outbound
      ? about.side === "caller" && about.service === service && namesMethod(about.methods, method)
      : isJudged(about, { service, caller, method });
  return total((counts?.methods ?? []).filter(isAbout));
}

/** Returns whether the proxy's counts belong to this epoch, under the revision that the epoch gives it. */
function isAt(heartbeat: Heartbeat, { body }: Signed<Activation>): boolean {
  return (
    heartbeat.evaluatingEpoch === body.epoch &&
    heartbeat.evaluatingDigest === revisionFor(body, heartbeat.proxyId).digest
  );
}

function total(counts: readonly Omit<CallCounts, "methods">[]): CallCounts {
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

function sum<One>(counts: readonly One[], of: (one: One) => number): number {
  return counts.reduce((all, one) => all + of(one), 0);
}
