/** The state of the mesh in numbers and sentences, from the fleet and the heads of the logs. Pure. */
import type { Digest } from "../../core/digest.js";
import type { Revocation } from "../../core/model.js";
import { revisionFor } from "../../core/rollout/cohort.js";
import type { ExpectedProxy } from "./expected-proxies.js";
import { type FleetEntry, type FleetHead, isActive, isPrepared, rejectionOf } from "./fleet-state.js";
import type { Problem, ProblemCode } from "./problems.js";

export interface FleetStatus {
  /** The number of live proxies. */
  readonly total: number;
  /** The number of live proxies that hold compiled what the head states for them. */
  readonly prepared: number;
  /** The number of live proxies that evaluate the head. */
  readonly active: number;
  /**
   * The number of live proxies that do not, proxies that went silent without leaving, and proxies that were never heard
   * from.
   */
  readonly behind: number;
  /** The number of live proxies that rejected the newest revision. */
  readonly rejected: number;
  /** The problems of the fleet. */
  readonly problems: readonly Problem[];
  /** Ways around proxies that their flags open, one line each. */
  readonly bypassable: readonly string[];
}

/** A certificate lives 24 hours and is renewed hourly; with less than this left, renewal does not work. */
const certificateWarningMs = 6 * 3_600_000;
const namedMax = 20;
/** A revoked proxy that was heard from within this time still runs. */
const heardMs = 15_000;

/** Builds the status. `newest`: the digest of the head of the revision log. */
export function buildFleetStatus(
  { entries, missing }: { readonly entries: readonly FleetEntry[]; readonly missing: readonly ExpectedProxy[] },
  head: FleetHead,
  newest: Digest | undefined,
  nowMs: number,
): FleetStatus {
  const live = entries.filter((entry) => entry.live);
  const silent = entries.filter((entry) => !entry.live && entry.revoked === undefined);
  const intruding = entries.filter((entry) => entry.revoked && nowMs - entry.lastSeenMs < heardMs);
  const late = live.filter(({ heartbeat }) => !isActive(heartbeat, head));
  const rejecting =
    newest === undefined ? [] : live.filter(({ heartbeat }) => rejectionOf(heartbeat, newest) !== undefined);
  const expiring = live.filter(({ heartbeat }) => heartbeat.certificateExpiresMs - nowMs < certificateWarningMs);
  const isReady = ({ heartbeat }: FleetEntry): boolean =>
    head === undefined || isPrepared(heartbeat, revisionFor(head, heartbeat.proxyId).digest);
  const problems = [
    ...named(
      "proxy-behind",
      late,
      ({ heartbeat }) =>
        `proxy ${nameOf(heartbeat)} evaluates epoch ${heartbeat.evaluatingEpoch}, the mesh is at ${head?.epoch ?? 0}`,
    ),
    ...named(
      "proxy-rejecting",
      rejecting,
      ({ heartbeat }) =>
        `proxy ${nameOf(heartbeat)} refused revision ${heartbeat.rejected?.number}: ${heartbeat.rejected?.reason}`,
    ),
    ...named(
      "proxy-silent",
      silent,
      ({ heartbeat, lastSeenMs }) =>
        `proxy ${nameOf(heartbeat)} went silent ${renderAgo(nowMs - lastSeenMs)} ago without leaving`,
    ),
    ...named(
      "proxy-revoked",
      intruding,
      ({ heartbeat, revoked }) =>
        `proxy ${nameOf(heartbeat)} still runs, and its certificate ${revoked === undefined ? "" : renderRevoked(revoked, nowMs)}: stop it, or let it join anew with another token and data folder`,
    ),
    ...named(
      "proxy-never-heard",
      missing,
      ({ proxyId, service, sinceMs }) =>
        `proxy ${proxyId} (${service}) got an identity ${renderAgo(nowMs - sinceMs)} ago and was never heard of`,
    ),
    ...named(
      "workers-missing",
      live.filter(({ heartbeat: { workers } }) => workers !== undefined && workers.serving < workers.wanted),
      ({ heartbeat }) =>
        `proxy ${nameOf(heartbeat)}: ${heartbeat.workers?.serving} of ${heartbeat.workers?.wanted} workers carry calls`,
    ),
    ...judgeClocks(live),
    ...named(
      "certificate-expiring",
      expiring,
      ({ heartbeat }) => `proxy ${nameOf(heartbeat)}: ${renderExpiry(heartbeat.certificateExpiresMs - nowMs)}`,
    ),
  ];
  return {
    total: live.length,
    prepared: live.filter(isReady).length,
    active: live.length - late.length,
    behind: late.length + silent.length + missing.length,
    rejected: rejecting.length,
    problems,
    bypassable: live.flatMap(({ heartbeat }) => heartbeat.bypassable.map((way) => `${nameOf(heartbeat)}: ${way}`)),
  };
}

/** A greater difference between clocks is reported, long before anything fails because of it. */
const clockSkewMsMax = 5000;

/** Reports clocks that are off. If most of the fleet is off the same way, this machine's clock is wrong. */
function judgeClocks(live: readonly FleetEntry[]): readonly Problem[] {
  const ahead = live.filter(({ clockAheadMs }) => (clockAheadMs ?? 0) > clockSkewMsMax);
  const behind = live.filter(({ clockAheadMs }) => (clockAheadMs ?? 0) < -clockSkewMsMax);
  const [off, way] = ahead.length > behind.length ? [ahead, "behind"] : [behind, "ahead of"];
  if (off.length > 1 && off.length * 2 > live.length) {
    const sorted = off.map(({ clockAheadMs }) => Math.abs(clockAheadMs ?? 0)).sort((a, b) => a - b);
    const usual = renderAgo(sorted[sorted.length >> 1] ?? 0);
    const figure = `${off.length} of ${live.length} live proxies by ${usual}`;
    const message = `this control plane's clock is ${way} that of ${figure}: set it by NTP`;
    return [{ code: "clock", message, subject: "" }];
  }
  return named("clock", [...ahead, ...behind], ({ heartbeat, clockAheadMs = 0 }) => {
    const by = `${renderAgo(Math.abs(clockAheadMs))} ${clockAheadMs > 0 ? "ahead of" : "behind"}`;
    return `the clock of proxy ${nameOf(heartbeat)} is ${by} this control plane's: set it by NTP`;
  });
}

function nameOf(heartbeat: { readonly proxyId: string; readonly service: string }): string {
  return `${heartbeat.proxyId} (${heartbeat.service})`;
}

type Named = FleetEntry | ExpectedProxy;

/** Returns one problem for each entry: the first few in full, and the others as a number. */
function named<Entry extends Named>(
  code: ProblemCode,
  entries: readonly Entry[],
  render: (entry: Entry) => string,
): readonly Problem[] {
  const problems = entries
    .slice(0, namedMax)
    .map((entry): Problem => ({ code, message: render(entry), subject: proxyIdOf(entry) }));
  if (entries.length <= namedMax) return problems;
  const message = `… and ${entries.length - namedMax} proxies more like the last`;
  return [...problems, { code, message, subject: "" }];
}

function proxyIdOf(entry: Named): string {
  return "heartbeat" in entry ? entry.heartbeat.proxyId : entry.proxyId;
}

function renderExpiry(leftMs: number): string {
  return leftMs <= 0 ? "its certificate has expired" : `its certificate expires in ${renderAgo(leftMs)}`;
}

/** Says since when a certificate is revoked, and why. */
export function renderRevoked({ reason, timeMs }: Revocation, nowMs: number): string {
  return `was revoked ${renderAgo(Math.max(0, nowMs - timeMs))} ago${reason === "" ? "" : ` (${reason})`}`;
}

/** Renders a duration for people in its largest unit only. */
export function renderAgo(ms: number): string {
  if (ms < 60_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}
