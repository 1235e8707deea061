/** The convergence ledger: how far each proxy of the roster is with a revision, and why it is not further. Pure. */
import type { Digest } from "../../core/digest.js";
import type { Heartbeat } from "../../core/model.js";
import { epochThatRuns, revisionFor } from "../../core/rollout/cohort.js";
import type { ExpectedProxy } from "./expected-proxies.js";
import { type FleetEntry, type FleetHead, isActive, isPrepared, rejectionOf } from "./fleet-state.js";
import { renderAgo, renderRevoked } from "./fleet-status.js";

export type ConvergenceState =
  | "converged" // the proxy is live and evaluates the revision
  | "prepared" // the revision is not active; the proxy holds it compiled
  | "not-evaluating" // the proxy has seen the epoch and holds the revision, and still decides by another
  | "not-seen" // the proxy holds the revision and has not heard of the epoch
  | "not-prepared"
  | "rejected"
  | "silent" // its heartbeats stopped without a message that it leaves
  | "unknown" // it got an identity, and was never heard from
  | "revoked"; // its certificate is revoked: nothing is expected of it

/** The revision and head that proxies are compared with. */
export interface ConvergenceTarget {
  readonly number: number;
  readonly digest: Digest;
  /** The head of the activation log. */
  readonly head: FleetHead;
}

export interface ProxyConvergence {
  readonly id: string;
  readonly service: string;
  readonly version: string;
  readonly state: ConvergenceState;
  /** The reason in one sentence; "": there is nothing to say. */
  readonly reason: string;
  /** The last heartbeat; undefined: the proxy was never heard from. */
  readonly heartbeat: Heartbeat | undefined;
  readonly prepared: boolean;
  /** True if the proxy is live and evaluates the head. */
  readonly active: boolean;
  readonly lastSeenMs: number;
  readonly live: boolean;
}

/** Returns the state of every proxy that is known or expected, sorted by service, then id. */
export function judgeConvergence(
  entries: readonly FleetEntry[],
  missing: readonly ExpectedProxy[],
  target: ConvergenceTarget,
  nowMs: number,
): readonly ProxyConvergence[] {
  const known = new Set(entries.map(({ heartbeat }) => heartbeat.proxyId));
  const unknown = missing.filter(({ proxyId }) => !known.has(proxyId));
  return [
    ...entries.map((entry) => judge(entry, target, nowMs)),
    ...unknown.map((proxy) => neverHeard(proxy, nowMs)),
  ].sort((a, b) => compareText(a.service, b.service) || compareText(a.id, b.id));
}

/** Returns whether nothing is left to do for this proxy. */
export function hasConverged({ state }: ProxyConvergence): boolean {
  return state === "converged" || state === "prepared" || state === "revoked";
}

function judge(
  { heartbeat, lastSeenMs, live, revoked }: FleetEntry,
  target: ConvergenceTarget,
  nowMs: number,
): ProxyConvergence {
  const { proxyId: id, service, version } = heartbeat;
  const { head } = target;
  const active = live && isActive(heartbeat, head);
  const prepared = isPrepared(heartbeat, target.digest);
  const about = { id, service, version, heartbeat, prepared, active, lastSeenMs, live };
  if (revoked !== undefined)
    return { ...about, state: "revoked", reason: `its certificate ${renderRevoked(revoked, nowMs)}` };
  if (live) return { ...about, ...judgeLive(heartbeat, target, prepared) };
  const evaluated = heartbeat.evaluatingRevision === 0 ? "no revision" : `revision ${heartbeat.evaluatingRevision}`;
  const ago = renderAgo(nowMs - lastSeenMs);
  return { ...about, state: "silent", reason: `last heard of ${ago} ago, evaluating ${evaluated}; it did not leave` };
}

/**
 * Judges a live proxy. While a rollout runs it is compared with the revision that the head gives it, whichever of the
 * two was asked about.
 */
function judgeLive(
  heartbeat: Heartbeat,
  { number, digest, head }: ConvergenceTarget,
  prepared: boolean,
): Pick<ProxyConvergence, "state" | "reason"> {
  const runs = head !== undefined && epochThatRuns(head, digest) !== 0;
  const wanted = runs ? revisionFor(head, heartbeat.proxyId) : { number, digest };
  if (runs && isActive(heartbeat, head)) {
    if (wanted.digest === digest) return { state: "converged", reason: "" };
    const refused = rejectionOf(heartbeat, digest);
    const lacks = prepared ? "" : `; ${refused === undefined ? "does not hold" : "refused"} revision ${number}`;
    const why = refused === undefined ? "" : `: ${refused}`;
    const reason = `evaluates revision ${wanted.number}, as the rollout that runs has it${lacks}${why}`;
    return { state: "converged", reason };
  }
  const rejection = rejectionOf(heartbeat, wanted.digest);
  if (rejection !== undefined) return { state: "rejected", reason: rejection };
  if (!isPrepared(heartbeat, wanted.digest)) {
    const held = heartbeat.prepared.map((one) => one.number).join(", ");
    return {
      state: "not-prepared",
      reason: `does not hold revision ${wanted.number} yet (holds ${held === "" ? "none" : held}); ${renderNews(heartbeat)}`,
    };
  }
  if (!runs) return { state: "prepared", reason: "" };
  if (heartbeat.seenEpoch < head.epoch) {
    return {
      state: "not-seen",
      reason: `has seen epoch ${heartbeat.seenEpoch}, not ${head.epoch}; ${renderNews(heartbeat)}`,
    };
  }
  return {
    state: "not-evaluating",
    reason: `has seen epoch ${heartbeat.seenEpoch} and still evaluates epoch ${heartbeat.evaluatingEpoch}`,
  };
}

/**
 * Says how old the proxy's knowledge of the heads is: a proxy that hears nothing is behind for another reason than a
 * slow one.
 */
function renderNews({ freshnessAgeMs }: Heartbeat): string {
  if (freshnessAgeMs >= Number.MAX_SAFE_INTEGER) return "it has heard no statement about the heads of the logs";
  return `last news of the logs ${renderAgo(freshnessAgeMs)} ago`;
}

function neverHeard({ proxyId: id, service, version, sinceMs }: ExpectedProxy, nowMs: number): ProxyConvergence {
  const reason = `got an identity ${renderAgo(nowMs - sinceMs)} ago and was never heard of`;
  const about = { id, service, version, state: "unknown" as const, reason, heartbeat: undefined };
  return { ...about, prepared: false, active: false, lastSeenMs: sinceMs, live: false };
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
