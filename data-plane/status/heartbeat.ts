/** Builds the heartbeat of this proxy from its present state (I7). */

import type { Label } from "../../core/label.js";
import type { CallCounts, Heartbeat, WorkerReport } from "../../core/model.js";
import { type EjectedFact, type ReachFact, reportReach } from "../../core/reach.js";
import type { ShadowCounts } from "../../core/shadow/shadow-model.js";
import type { Clock } from "../../runtime/clock.js";
import type { AppView, EvaluatedPolicy, IdentityView, PolicyView } from "../ports.js";
import type { CallWindow } from "./call-window.js";

/** Where the content of a heartbeat comes from. */
export interface HeartbeatDeps {
  readonly clock: Clock;
  readonly identity: IdentityView;
  readonly policy: PolicyView;
  readonly app: AppView;
  readonly window: Pick<CallWindow, "calls" | "before">;
  /**
   * Says which instances of other services could be connected to, and which are ejected. Left out: nothing is known.
   */
  readonly reaches?: { read(): readonly ReachFact[]; ejections(): readonly EjectedFact[] } | undefined;
  /** Reports about the worker processes. undefined: the proxy carries its calls itself. */
  readonly workers?: { report(): WorkerReport } | undefined;
  /** Returns a shadow candidate's counts. undefined: no candidate is evaluated here. */
  readonly tally?: { read(candidate: EvaluatedPolicy): ShadowCounts | undefined } | undefined;
}

export interface HeartbeatOptions {
  /** The proxy's labels, sorted by key. */
  readonly labels: readonly Label[];
  /** The ways around the proxy that its flags opened, as text for people. */
  readonly bypassable: readonly string[];
}

const preparedMax = 16;
const bypassableMax = 64;

export function buildHeartbeat(
  { identity, policy, app, clock, tally, reaches, window, workers }: HeartbeatDeps,
  { bypassable, labels }: HeartbeatOptions,
  leaving: boolean,
): Heartbeat {
  const { proxyId, service, version, notAfterMs } = identity.current;
  const evaluated = policy.current;
  const reach = reportReach(reaches?.read() ?? [], reaches?.ejections());
  const shadow = policy.shadow && tally?.read(policy.shadow.policy);
  return {
    proxyId,
    service,
    version,
    timeMs: clock.nowMs(),
    seenEpoch: policy.seenEpoch,
    evaluatingEpoch: evaluated?.epoch ?? 0,
    evaluatingRevision: evaluated?.revision ?? 0,
    evaluatingDigest: evaluated?.revisionDigest,
    prepared: policy.prepared.slice(0, preparedMax),
    rejected: policy.rejected,
    certificateExpiresMs: wholeMs(notAfterMs),
    freshnessAgeMs: wholeMs(policy.freshnessAgeMs),
    lagMs: wholeMs(policy.lagMs),
    trustSequence: policy.trustSequence,
    serving: app.current !== undefined && !leaving,
    bypassable: bypassable.slice(0, bypassableMax),
    seenActivation: policy.seenActivation,
    leaving,
    calls: toldOf(window.calls, policy.isStaged),
    callsBefore: toldOf(window.before, policy.isStaged),
    labels,
    ...(shadow && { shadow }),
    ...(reach && { reach }),
    ...(workers && { workers: workers.report() }),
  };
}

/**
 * Returns the counts to report. Counts by method are left out unless a rollout needs them, because thousands of proxies
 * send them every few seconds.
 */
function toldOf(counts: CallCounts | undefined, isStaged: boolean): CallCounts | undefined {
  return counts === undefined || isStaged ? counts : { ...counts, methods: undefined };
}

/** Returns a whole number that the wire takes. "Never" (Infinity) becomes the largest one. */
function wholeMs(ms: number): number {
  return Math.min(Math.max(0, Math.round(ms)), Number.MAX_SAFE_INTEGER);
}
