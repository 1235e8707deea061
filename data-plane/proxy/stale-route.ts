/** Refuses calls on routes that may not be used while the proxy may have missed a change of policy. */
import type { CompiledRouteRule } from "../../core/policy/compile.js";
import type { CallPolicy } from "../ports.js";
import { type Answer, unavailableAnswer } from "./answer.js";

/**
 * Returns the answer to a call if the heads of the logs are older than its route allows, or undefined if the call may
 * continue.
 */
export function refusalOfStale(
  rule: CompiledRouteRule | undefined,
  policy: Pick<CallPolicy, "freshnessAgeMs">,
  revision: number,
): Answer | undefined {
  const staleness = rule?.staleness;
  if (staleness?.onStale !== "fail") return undefined;
  const ageMs = policy.freshnessAgeMs;
  if (ageMs <= staleness.maxMs) return undefined;
  const since = Number.isFinite(ageMs) ? `for ${Math.round(ageMs / 1000)} s` : "yet";
  const message = `policy may be out of date: nothing was heard of the mesh ${since}, this route allows ${staleness.maxMs / 1000} s`;
  return unavailableAnswer("stale", message, revision);
}
