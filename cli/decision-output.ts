/** Renders recorded decisions. */

import { type DecisionRecord, isRefusal, type Recorded } from "../core/decision/decision-record.js";
import { Duration, isList, isMap, Timestamp, type Value } from "../core/policy/condition/values.js";
import type { DecisionOfProxy } from "./decisions.js";
import { plain, renderTime } from "./output.js";

/** A decision with its inputs, for programs. */
export function decisionToJson({ service, proxyId, decision }: DecisionOfProxy) {
  const {
    id,
    direction,
    caller,
    method,
    verdict,
    rule,
    tokenProblem,
    revision,
    epoch,
    timeMs,
    closed,
    shadow,
    mirrored,
    reader,
    traceId,
    protocol,
  } = decision;
  return {
    id,
    time: renderTime(timeMs),
    direction,
    proxy: proxyId,
    proxyService: service,
    caller,
    service: decision.service,
    method,
    ...(decision.calledMethod === undefined ? {} : { calledMethod: decision.calledMethod }),
    ...(decision.sentMethod === undefined ? {} : { sentMethod: decision.sentMethod }),
    ...(decision.attempts === undefined ? {} : { attempts: decision.attempts }),
    verdict,
    allowed: !isRefusal(verdict),
    rule,
    ...(tokenProblem === undefined ? {} : { tokenProblem }),
    ...(decision.version === "" ? {} : { version: decision.version }),
    revision,
    epoch,
    closed,
    shadow,
    ...(mirrored === undefined ? {} : { mirrored }),
    ...(reader === undefined ? {} : { reader }),
    ...(traceId === undefined ? {} : { traceId }),
    ...(protocol === undefined ? {} : { protocol }),
    inputs: inputsToJson(decision),
  };
}

function inputsToJson({ inputs, routing, limits }: DecisionRecord) {
  const { headers, source, labels, claims, issuer } = inputs;
  return {
    headers: Object.fromEntries(headers.map(({ name, content }) => [name, recorded(content, (value) => value)])),
    ...(source === undefined ? {} : { source: source.address ?? null }),
    ...(labels === undefined ? {} : { labels: Object.fromEntries(labels.map(({ key, value }) => [key, value])) }),
    ...(issuer === undefined ? {} : { issuer: issuer.name ?? null }),
    claims: Object.fromEntries(claims.map(({ name, content }) => [name, recorded(content, valueToJson)])),
    ...(routing === undefined ? {} : { draw: routing.draw, available: routing.available }),
    limits,
  };
}

/** Returns what a call's method was or becomes where a route rewrites it, in brackets; otherwise nothing. */
export function describeRewrite({ calledMethod, sentMethod }: DecisionRecord): string {
  if (calledMethod !== undefined) return ` (called as ${plain(calledMethod)})`;
  return sentMethod === undefined ? "" : ` (sent on as ${plain(sentMethod)})`;
}

/** Returns one line about a recorded input. */
export function describeInputs(decision: DecisionRecord): readonly string[] {
  const { headers, claims, labels, issuer, ...others } = inputsToJson(decision);
  const lines = Object.entries(headers).map(([name, value]) => `header ${name}: ${shown(value)}`);
  for (const [name, value] of Object.entries(claims)) lines.push(`claim ${name}: ${shown(value)}`);
  if (decision.tokenProblem !== undefined) lines.push(`token, refused: ${decision.tokenProblem}`);
  if (issuer !== undefined) lines.push(`token of: ${issuer ?? "nobody"}`);
  if (labels !== undefined) lines.push(`labels: ${JSON.stringify(labels)}`);
  if (others.source !== undefined) lines.push(`source: ${others.source ?? "not known"}`);
  if (others.draw !== undefined)
    lines.push(`draw: ${others.draw} among ${others.available?.join(", ") || "no versions"}`);
  for (const { name, passed, pushbackMs } of others.limits)
    lines.push(`limit ${name}: ${passed ? "passed" : `try again in ${pushbackMs} ms`}`);
  return lines;
}

function recorded<Content>(content: Recorded<Content>, render: (value: Content) => unknown): unknown {
  if (content.state === "whole") return render(content.value);
  return content.state === "missing" ? null : { notRecorded: content.state === "digest" ? "too long" : "a credential" };
}

function shown(value: unknown): string {
  return value === null ? "missing" : JSON.stringify(value);
}

function valueToJson(value: Value): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Timestamp || value instanceof Duration) return String(value.nanos);
  if (value === null || typeof value !== "object") return value;
  if (isList(value)) return value.map(valueToJson);
  if (isMap(value)) return Object.fromEntries([...value].map(([key, item]) => [key, valueToJson(item)]));
  return null;
}
