/** Decides recorded calls again, to find those that a candidate would decide differently. */
import type { CheckedAccess, Decision, DecisionBatch } from "../../api/record-messages.js";

/** Recorded calls that policy cannot tell apart. */
export interface Asked {
  readonly key: string;
  readonly decision: Decision;
  /** How many such calls were recorded. */
  readonly count: number;
}

export interface Recorded {
  readonly asked: readonly Asked[];
  /** How many recorded calls were examined. */
  readonly calls: number;
  /** How many calls were left out because there was no room for further kinds. */
  readonly leftOff: number;
}

export const noneRecorded: Recorded = { asked: [], calls: 0, leftOff: 0 };

/** The most kinds of calls that are decided again. */
export const askedMax = 400;

/** Adds the inbound calls of a batch that authorization decided. Limits and routes are not asked again. */
export function addRecorded(known: Recorded, batch: DecisionBatch): Recorded {
  const byKey = new Map(known.asked.map((entry) => [entry.key, entry]));
  let { calls, leftOff } = known;
  for (const decision of batch.decisions) {
    if (decision.direction !== "DIRECTION_INBOUND" || decision.shadow || !isJudged(decision.verdict)) continue;
    const key = keyOf(decision);
    const there = byKey.get(key);
    calls += 1;
    if (there !== undefined) byKey.set(key, { ...there, count: there.count + 1 });
    else if (byKey.size < askedMax) byKey.set(key, { key, decision, count: 1 });
    else leftOff += 1;
  }
  return { asked: [...byKey.values()], calls, leftOff };
}

const isJudged = (verdict: string): boolean => verdict === "VERDICT_ALLOWED" || verdict === "VERDICT_DENIED";

function keyOf({ caller, service, method, verdict, headers, claims, tokenIssuer }: Decision): string {
  return JSON.stringify([caller, service, method, verdict, headers, claims, tokenIssuer]);
}

/** Returns the same call as a request for CheckAccess. */
export function requestOf(decision: Decision, revision: number): Readonly<Record<string, unknown>> {
  const claims = Object.fromEntries(
    decision.claims
      .filter(({ state }) => state === "RECORDED_STATE_WHOLE")
      .map(({ name, value }) => [name, plain(value)]),
  );
  return {
    caller: decision.caller,
    service: decision.service,
    method: decision.method,
    revision,
    headers: decision.headers
      .filter(({ state }) => state === "RECORDED_STATE_WHOLE")
      .map(({ name, value }) => ({ name, value })),
    ...(decision.tokenIssuer !== "" && { claims: JSON.stringify(claims), tokenIssuer: decision.tokenIssuer }),
  };
}

/** Returns a recorded value as plain JSON. */
export function plain(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return null;
  const [[kind, inner] = ["", undefined]] = Object.entries(value);
  switch (kind) {
    case "boolValue":
    case "doubleValue":
    case "stringValue":
      return inner;
    case "intValue":
      return Number(inner);
    case "listValue":
      return ((inner as { readonly items?: readonly unknown[] }).items ?? []).map(plain);
    case "mapValue":
      return Object.fromEntries(
        (
          (inner as { readonly fields?: readonly { readonly name: string; readonly value: unknown }[] }).fields ?? []
        ).map((field) => [field.name, plain(field.value)]),
      );
    default:
      return null;
  }
}

export interface Flip {
  readonly asked: Asked;
  readonly answer: CheckedAccess;
}

/** True if a candidate would decide otherwise than the proxy did. */
export const isFlip = ({ decision }: Asked, answer: CheckedAccess): boolean =>
  (decision.verdict === "VERDICT_ALLOWED") !== answer.allowed;
