/** Decides a recorded call again by another policy. */
import { isDirectRead, notDirectRule } from "../journal/direct-reads.js";
import { renderTarget } from "../kinds/route/targets.js";
import { arrivingMethod } from "../policy/arriving-method.js";
import type { CompiledUnit } from "../policy/compile.js";
import { parseAvailable } from "../route/available.js";
import { chooseAmong, stickyKey } from "../route/choose-target.js";
import { type DecisionRecord, noInputs, type RefusalCount, type Verdict } from "./decision-record.js";
import { redecideAtEdge, redecideCountedAtEdge } from "./edge-refusals.js";
import { RecordedInputs } from "./recorded-inputs.js";
import type { Redecided, Undecidable } from "./redecided.js";

export type { Redecided, Undecidable } from "./redecided.js";

/**
 * Which rewrites apply to a call that came in. "recorded": the method that arrived is judged again. "candidate": the
 * candidate's route is applied too, so that the method is judged that would have arrived.
 */
export type Rewrites = "recorded" | "candidate";

/**
 * Returns the decision of `unit` about the call (undefined: the policy has no such service). Tokens and rate limits are
 * not checked again: the recorded verdict about them stands, as long as the policy still has the limit that refused.
 */
export function redecide(
  record: DecisionRecord,
  unit: CompiledUnit | undefined,
  rewrites: Rewrites,
): Redecided | Undecidable {
  const again = redecideBeforeLimits(record, unit, rewrites);
  const limit = record.limits.find(({ passed }) => !passed);
  if (limit === undefined || unit === undefined || again.kind === "undecidable" || again.verdict !== "allowed")
    return again;
  if (!hasLimit(unit, limit.name))
    return { kind: "undecidable", unknown: [`what is left of the budgets of limits but ${limit.name}`] };
  return asLimitedThen(limit.name, again.method);
}

/** Decides the call again without its rate limits, which are applied last. */
export function redecideBeforeLimits(
  record: DecisionRecord,
  unit: CompiledUnit | undefined,
  rewrites: Rewrites,
): Redecided | Undecidable {
  if (record.direction === "edge") return redecideAtEdge(record, unit?.gateway);
  return record.direction === "outbound" ? redecideRoute(record, unit) : redecideAccess(record, unit, rewrites);
}

export function asLimitedThen(limit: string, method: string): Redecided {
  return decided("limited", limit, `limited by ${limit}, as it was then`, method);
}

/**
 * Returns the method under which an inbound call would have arrived by `unit`. Headers that were not recorded count as
 * missing.
 */
export function arrivesAs(
  { method, calledMethod = method, caller, inputs, timeMs }: DecisionRecord,
  unit: CompiledUnit | undefined,
): string {
  const recorded = new RecordedInputs(inputs, timeMs);
  return arrivingMethod(unit, calledMethod, (name) => recorded.header(name), caller);
}

/**
 * Decides counted calls, of which at most the caller and the methods are known, by a candidate and without rate limits.
 */
export function redecideCounted(
  counted: RefusalCount,
  unit: CompiledUnit | undefined,
  asCaller: (text: string) => DecisionRecord["caller"],
): Redecided | Undecidable {
  const { caller, method: arrived, calledMethod = arrived, verdict, rule } = counted;
  if (unit?.gateway !== undefined) return redecideCountedAtEdge(counted, unit.gateway);
  if (verdict !== "denied" && verdict !== "limited") return decided(verdict, rule, "what it said stands", arrived);
  if (caller === "" || arrived === "") return { kind: "undecidable", unknown: ["who called which method"] };
  if (unit === undefined) return noService(arrived);
  const id = asCaller(caller);
  const inputs = new RecordedInputs(noInputs, 0);
  const method = arrivingMethod(unit, calledMethod, (name) => inputs.header(name), id);
  if (inputs.unknown.length > 0) return { kind: "undecidable", unknown: inputs.unknown };
  if (rule === notDirectRule && !isDirectRead(unit, method)) return refusedDirect(method);
  const reads = [...unit.readsOf(id, method)].filter((read) => !read.startsWith("claim:"));
  if (reads.length > 0) return { kind: "undecidable", unknown: reads };
  const { allow, rule: by, reason } = unit.evaluate(id, method);
  return decided(allow ? "allowed" : "denied", by, reason, method);
}

function noService(method: string): Redecided {
  return decided("denied", "default-deny", "the policy has no such service", method);
}

function refusedDirect(method: string): Redecided {
  const reason = "it came without the caller's proxy, and is no read that a Journal lets go direct";
  return decided("denied", notDirectRule, reason, method);
}

function redecideAccess(
  record: DecisionRecord,
  unit: CompiledUnit | undefined,
  rewrites: Rewrites,
): Redecided | Undecidable {
  const { caller, timeMs } = record;
  if (unit === undefined) return noService(record.method);
  const routed = new RecordedInputs(record.inputs, timeMs);
  const called = record.calledMethod ?? record.method;
  const method =
    rewrites === "recorded" ? record.method : arrivingMethod(unit, called, (name) => routed.header(name), caller);
  if (routed.unknown.length > 0) return { kind: "undecidable", unknown: routed.unknown };
  if (record.reader !== undefined && !isDirectRead(unit, method)) return refusedDirect(method);
  if (record.verdict === "unauthenticated") {
    if (!unit.readsToken(caller, method)) return { kind: "undecidable", unknown: ["the call without its token"] };
    return decided(record.verdict, record.rule, "what was said of its token stands", method);
  }
  const inputs = new RecordedInputs(record.inputs, timeMs);
  const { allow, rule, reason } = unit.evaluateCall(caller, method, inputs);
  const { unknown } = inputs;
  if (unknown.length > 0) return { kind: "undecidable", unknown };
  return decided(allow ? "allowed" : "denied", rule, reason, method);
}

function hasLimit({ rateLimits }: CompiledUnit, name: string): boolean {
  return rateLimits.some((one) => one.limits.some((_, index) => `${one.name}/limits[${index}]` === name));
}

function redecideRoute(record: DecisionRecord, unit: CompiledUnit | undefined): Redecided | Undecidable {
  const { routing, method, timeMs, caller } = record;
  if (unit === undefined) return decided("unrouted", "", "the policy has no such service", method);
  const { draw, available } = routing ?? { draw: 0, available: [] };
  const inputs = new RecordedInputs(record.inputs, timeMs);
  const found = unit.findRoute(method, (name) => inputs.header(name), caller);
  const key = found && stickyKey(found, (name) => inputs.header(name), caller);
  const placed = available.map(parseAvailable);
  const unread = found?.labelKeys.filter((label) => placed.some(({ keys }) => !keys.includes(label))) ?? [];
  const unknown = [...inputs.unknown, ...unread.map((label) => `label ${label} of endpoints`)];
  if (unknown.length > 0) return { kind: "undecidable", unknown };
  const rule = found?.name ?? "";
  const sent = found?.rewrite ?? method;
  const choice = chooseAmong(found, { service: unit.name, draw, key }, placed);
  if (choice.kind === "none" || available.length === 0)
    return decided("unrouted", rule, "no version that it may go to had an endpoint", sent);
  const version = choice.kind === "target" ? renderTarget(choice.target) : "";
  const by = found?.reads === undefined ? `by ${rule}` : `by ${rule}, as a read that a replica may answer`;
  return decided("routed", rule, rule === "" ? "no route is about it" : by, sent, version);
}

function decided(verdict: Verdict, rule: string, reason: string, method: string, version = ""): Redecided {
  return { kind: "decided", verdict, rule, reason, version, method };
}

/** Returns the method that the destination judged or will judge, as it was recorded. */
export function judgedMethod({ method, sentMethod = method }: DecisionRecord): string {
  return sentMethod;
}

/** Returns whether the new decision equals the recorded one in verdict, rule, version and rewritten method. */
export function isSame(record: DecisionRecord, again: Redecided): boolean {
  const { verdict, rule, version, method } = again;
  const isVerdict = record.verdict === verdict && record.rule === rule;
  return isVerdict && record.version === version && judgedMethod(record) === method;
}
