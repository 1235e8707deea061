/**
 * Judges whether a stage of a rollout has shown what its gates require. Pure. A gate fails on evidence and never on the
 * lack of it; without enough evidence it holds. Shares are compared service by service, because services differ in what
 * is normal for them, and by intervals: the lower bound in the cohort against the upper bound outside it.
 */
import { type CallCounts, tookBoundsMs } from "../../core/model.js";
import type { AffectedCalls } from "../../core/rollout/affected-calls.js";
import type { Rollout, ShareGate } from "../../core/rollout/rollout-model.js";
import { renderPercent } from "../../core/rollout/stages.js";
import { type FleetEntry, rejectionOf } from "../fleet/fleet-state.js";
import { judgeSamples } from "./judge-samples.js";
import type { PredictedShare } from "./refusal-predictions.js";
import { lowerShare, upperShare } from "./share-bounds.js";
import { gatherEvidence, type ServiceEvidence, type StageEvidence, type StageHead } from "./stage-evidence.js";

export interface GateFigure {
  readonly gate: "members" | "samples" | "refused" | "failed" | "latency" | "lag" | "rejections";
  readonly outcome: "passes" | "holds" | "fails";
  /** One line for operators with the figures. */
  readonly text: string;
}

export interface StageFacts {
  readonly plan: Rollout;
  /** The head of the activation log. */
  readonly head: StageHead;
  /** The time at which the stage began, on the clock of `nowMs` and of the entries. */
  readonly sinceMs: number;
  /** All known proxies, live or not. */
  readonly entries: readonly FleetEntry[];
  readonly nowMs: number;
  /** The time from which on this control plane has received heartbeats. */
  readonly hearingSinceMs: number;
  /** The calls that the candidate may decide differently from the base; undefined: not known yet. */
  readonly affected: readonly AffectedCalls[] | undefined;
  /**
   * The share of a service's calls that the candidate is expected to refuse, 0 to 1; undefined: there is no prediction.
   */
  readonly predictedRefused?: PredictedShare | undefined;
}

/** The least number of bad calls on which a gate fails. */
const badCallsMin = 5;
const predictionsShownMax = 3;
/**
 * The milliseconds after its start during which a control plane may not have heard the whole fleet, because heartbeats
 * come every few seconds.
 */
const hearMs = 10_000;

/** Returns the result of every gate that is on. */
export function judgeStage(facts: StageFacts): readonly GateFigure[] {
  const { plan, head, entries, affected, sinceMs } = facts;
  const { gates } = plan;
  const evidence = gatherEvidence(entries, head, affected, { samples: gates.samples, sinceMs });
  const wanted = {
    wanted: gates.samples,
    isLastLook: head.body.rollout.stage + 1 >= plan.stages.length,
    candidate: plan.candidate.number,
  };
  const figures: (GateFigure | undefined)[] = [
    judgeMembers(facts, evidence),
    gates.rejections ? judgeRejections(facts, evidence) : undefined,
    gates.lagMs > 0 ? judgeLag(facts, evidence) : undefined,
    judgeSamples(evidence, wanted),
    gates.refused && judgeShares("refused", gates.refused, facts, evidence),
    gates.failed && judgeShares("failed", gates.failed, facts, evidence),
    gates.latency && judgeLatency(facts, evidence),
  ];
  return figures.filter((figure) => figure !== undefined);
}

function judgeMembers({ plan, nowMs, hearingSinceMs }: StageFacts, evidence: StageEvidence): GateFigure {
  const { members, active, silent } = evidence;
  const heard = nowMs - hearingSinceMs >= hearMs;
  const enough = active.length >= plan.gates.members && active.length === members.length && silent.length === 0;
  const waits = [
    active.length < members.length ? `${members.length - active.length} still switch` : "",
    active.length < plan.gates.members ? `at least ${plan.gates.members} are asked for` : "",
    silent.length > 0 ? `${silent.length} went silent: ${renderIds(silent)}` : "",
    heard ? "" : "this control plane has only begun to hear the fleet",
  ].filter((text) => text !== "");
  const text = `${active.length} members evaluate revision ${plan.candidate.number}`;
  return { gate: "members", outcome: enough && heard ? "passes" : "holds", text: [text, ...waits].join("; ") };
}

function judgeRejections({ plan }: StageFacts, { members }: StageEvidence): GateFigure {
  const rejecting = members.filter(({ heartbeat }) => rejectionOf(heartbeat, plan.candidate.digest) !== undefined);
  const [first] = rejecting;
  if (first === undefined) return { gate: "rejections", outcome: "passes", text: "no member rejects it" };
  const why = first.heartbeat.rejected?.reason.slice(0, 500);
  return { gate: "rejections", outcome: "fails", text: `rejected by ${renderIds(rejecting)}: ${why}` };
}

/**
 * Judges the lag. Only heartbeats received after the bound count: an earlier one does not show whether the proxy
 * switched in time.
 */
function judgeLag({ plan, sinceMs }: StageFacts, { members, active }: StageEvidence): GateFigure {
  const { lagMs } = plan.gates;
  const late = members.filter((entry) => !active.includes(entry) && entry.lastSeenMs > sinceMs + lagMs);
  const longestMs = active.reduce((most, { heartbeat }) => Math.max(most, heartbeat.lagMs), 0);
  if (late.length === 0) return { gate: "lag", outcome: "passes", text: `members switched within ${longestMs} ms` };
  return { gate: "lag", outcome: "fails", text: `${renderIds(late)} did not switch within ${lagMs} ms` };
}

function judgeShares(
  gate: "refused" | "failed",
  { timesPercent, moreBasisPoints }: ShareGate,
  { plan, predictedRefused }: StageFacts,
  evidence: StageEvidence,
): GateFigure {
  const isPredicted = gate === "refused" && plan.gates.predicted;
  const predictions: string[] = [];
  for (const { service, about, cohort, compared } of servicesOf(evidence)) {
    const expected = isPredicted && about.side === "destination" ? predictedRefused?.(service, about) : undefined;
    const predicted = expected === undefined ? "no prediction" : `${renderShare(expected)} predicted`;
    if (isPredicted) predictions.push(`${service}: ${predicted}`);
    const share = Math.max(upperShare(compared[gate], compared.calls), expected ?? 0);
    const limit = (share * timesPercent) / 100 + moreBasisPoints / 10_000;
    if (cohort[gate] < badCallsMin || lowerShare(cohort[gate], cohort.calls) <= limit) continue;
    const text = renderShares(nameOf(service, about), gate, cohort, compared);
    return { gate, outcome: "fails", text: isPredicted ? `${text}, ${predicted}` : text };
  }
  const all = sumOf(servicesOf(evidence), gate);
  const text = [`${all.bad} of ${all.calls} calls ${gate} by members`, ...predictions.slice(0, predictionsShownMax)];
  return { gate, outcome: "passes", text: text.join("; ") };
}

function servicesOf({ parts }: StageEvidence): readonly ServiceEvidence[] {
  return (parts ?? []).flatMap((part) => part.services);
}

/** Returns "echo" for inbound calls of echo, or "front to echo" for outbound calls of front. */
function nameOf(service: string, about: AffectedCalls): string {
  return about.side === "destination" ? service : `${service} to ${about.service}`;
}

function renderShares(service: string, gate: "refused" | "failed", cohort: CallCounts, compared: CallCounts): string {
  const share = (counts: CallCounts): string =>
    `${counts[gate]} of ${counts.calls} calls ${gate}${counts.calls === 0 ? "" : ` (${renderShare(counts[gate] / counts.calls)})`}`;
  return `${service}: ${share(cohort)} under the candidate, against ${share(compared)} under the base`;
}

function renderShare(share: number): string {
  return renderPercent(Math.round(share * 10_000));
}

function sumOf(services: readonly ServiceEvidence[], gate: "refused" | "failed"): { bad: number; calls: number } {
  return services.reduce((all, { cohort }) => ({ bad: all.bad + cohort[gate], calls: all.calls + cohort.calls }), {
    bad: 0,
    calls: 0,
  });
}

/** Returns whether, beyond chance, more than one call in a hundred took longer than the allowed 99th percentile. */
function judgeLatency({ plan }: StageFacts, evidence: StageEvidence): GateFigure {
  const { timesPercent, moreMs } = plan.gates.latency ?? { timesPercent: 0, moreMs: 0 };
  const texts: string[] = [];
  for (const { service, about, cohort, compared } of servicesOf(evidence)) {
    const usualMs = slowest(compared.took);
    if (usualMs === undefined) continue;
    const boundMs = tookBoundsMs.find((bound) => bound >= (usualMs * timesPercent) / 100 + moreMs);
    if (boundMs === undefined) continue;
    const answered = cohort.took.reduce((all, count) => all + count, 0);
    const slow = cohort.took.reduce(
      (all, count, place) => ((tookBoundsMs[place] ?? Infinity) > boundMs ? all + count : all),
      0,
    );
    const text = `${nameOf(service, about)}: ${slow} of ${answered} calls took longer than ${boundMs} ms, the base's slowest hundredth ${usualMs} ms`;
    if (slow >= badCallsMin && lowerShare(slow, answered) > 0.01) return { gate: "latency", outcome: "fails", text };
    texts.push(text);
  }
  return { gate: "latency", outcome: "passes", text: texts.slice(0, 3).join("; ") || "nothing to compare yet" };
}

/**
 * Returns the upper bound of the class that contains the 99th percentile; undefined: there are no calls, or it is above
 * all bounds.
 */
function slowest(took: readonly number[]): number | undefined {
  const answered = took.reduce((all, count) => all + count, 0);
  if (answered === 0) return undefined;
  let seen = 0;
  return tookBoundsMs.find((_, place) => {
    seen += took[place] ?? 0;
    return seen >= answered * 0.99;
  });
}

const namedMax = 5;

function renderIds(entries: readonly FleetEntry[]): string {
  const named = entries.slice(0, namedMax).map(({ heartbeat }) => `${heartbeat.proxyId} (${heartbeat.service})`);
  return entries.length > namedMax ? `${named.join(", ")} and ${entries.length - namedMax} more` : named.join(", ");
}
