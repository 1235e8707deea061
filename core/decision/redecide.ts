/** Decides a recorded call again, by any policy. */

import { renderTarget } from "../kinds/route/targets.js";
import type { CompiledUnit } from "../policy/compile.js";
import { parseAvailable } from "../route/available.js";
import { chooseAmong, stickyKey } from "../route/choose-target.js";
import type { DecisionRecord, RefusalCount, Verdict } from "./decision-record.js";
import { RecordedInputs } from "./recorded-inputs.js";

export interface Redecided {
  readonly kind: "decided";
  readonly verdict: Verdict;
  readonly rule: string;
  /** One line for operators. */
  readonly reason: string;
  /** The version to which an outbound call was routed; empty: any. */
  readonly version: string;
}

/** The policy reads something of the call that was not recorded. */
export interface Undecidable {
  readonly kind: "undecidable";
  /** For people, for example "header x-region". */
  readonly unknown: readonly string[];
}

/**
 * What `unit` (undefined: the policy has no such service) says about the call. Tokens and rate limits are not asked
 * again: what they said stands, as long as the policy has the limit that refused.
 */
export function redecide(record: DecisionRecord, unit: CompiledUnit | undefined): Redecided | Undecidable {
  const again = redecideBeforeLimits(record, unit);
  const limit = record.limits.find(({ passed }) => !passed);
  if (limit === undefined || unit === undefined || again.kind === "undecidable" || again.verdict !== "allowed")
    return again;
  if (!hasLimit(unit, limit.name))
    return { kind: "undecidable", unknown: [`what is left of the budgets of limits but ${limit.name}`] };
  return asLimitedThen(limit.name);
}

/** Decides the call again without its rate limits, which are applied last. */
export function redecideBeforeLimits(record: DecisionRecord, unit: CompiledUnit | undefined): Redecided | Undecidable {
  return record.direction === "inbound" ? redecideAccess(record, unit) : redecideRoute(record, unit);
}

export function asLimitedThen(limit: string): Redecided {
  return decided("limited", limit, `limited by ${limit}, as it was then`);
}

/** Decides calls of which at most the caller and the method are known, without rate limits. */
export function redecideCounted(
  { caller, method, verdict, rule }: RefusalCount,
  unit: CompiledUnit | undefined,
  asCaller: (text: string) => DecisionRecord["caller"],
): Redecided | Undecidable {
  if (verdict !== "denied" && verdict !== "limited") return decided(verdict, rule, "what it said stands");
  if (caller === "" || method === "") return { kind: "undecidable", unknown: ["who called which method"] };
  if (unit === undefined) return noService;
  const id = asCaller(caller);
  const reads = [...unit.readsOf(id, method)].filter((read) => !read.startsWith("claim:"));
  if (reads.length > 0) return { kind: "undecidable", unknown: reads };
  const { allow, rule: by, reason } = unit.evaluate(id, method);
  return decided(allow ? "allowed" : "denied", by, reason);
}

const noService: Redecided = {
  kind: "decided",
  verdict: "denied",
  rule: "default-deny",
  reason: "the policy has no such service",
  version: "",
};

function redecideAccess(record: DecisionRecord, unit: CompiledUnit | undefined): Redecided | Undecidable {
  const { caller, method, timeMs } = record;
  if (unit === undefined) return noService;
  if (record.verdict === "unauthenticated") {
    if (!unit.readsToken(caller, method)) return { kind: "undecidable", unknown: ["the call without its token"] };
    return decided(record.verdict, record.rule, "what was said of its token stands");
  }
  const inputs = new RecordedInputs(record.inputs, timeMs);
  const { allow, rule, reason } = unit.evaluateCall(caller, method, inputs);
  const { unknown } = inputs;
  if (unknown.length > 0) return { kind: "undecidable", unknown };
  return decided(allow ? "allowed" : "denied", rule, reason);
}

function hasLimit({ rateLimits }: CompiledUnit, name: string): boolean {
  return rateLimits.some((one) => one.limits.some((_, index) => `${one.name}/limits[${index}]` === name));
}

function redecideRoute(record: DecisionRecord, unit: CompiledUnit | undefined): Redecided | Undecidable {
  const { routing, method, timeMs, caller } = record;
  if (unit === undefined) return decided("unrouted", "", "the policy has no such service");
  const { draw, available } = routing ?? { draw: 0, available: [] };
  const inputs = new RecordedInputs(record.inputs, timeMs);
  const found = unit.findRoute(method, (name) => inputs.header(name), caller);
  const key = found && stickyKey(found, (name) => inputs.header(name), caller);
  const placed = available.map(parseAvailable);
  const unread = found?.labelKeys.filter((label) => placed.some(({ keys }) => !keys.includes(label))) ?? [];
  const unknown = [...inputs.unknown, ...unread.map((label) => `label ${label} of endpoints`)];
  if (unknown.length > 0) return { kind: "undecidable", unknown };
  const rule = found?.name ?? "";
  const choice = chooseAmong(found, { service: unit.name, draw, key }, placed);
  if (choice.kind === "none" || available.length === 0)
    return decided("unrouted", rule, "no version that it may go to had an endpoint");
  const version = choice.kind === "target" ? renderTarget(choice.target) : "";
  return decided("routed", rule, rule === "" ? "no route is about it" : `by ${rule}`, version);
}

function decided(verdict: Verdict, rule: string, reason: string, version = ""): Redecided {
  return { kind: "decided", verdict, rule, reason, version };
}

/** Returns whether deciding again came to what was recorded, rule and version included. */
export function isSame(record: DecisionRecord, again: Redecided): boolean {
  return record.verdict === again.verdict && record.rule === again.rule && record.version === again.version;
}
