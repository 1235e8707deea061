/** Collects the refusals of one caller from recorded decisions: the newest few, and counts of the rest. */
import type { Decision, DecisionBatch, RefusalCount } from "../../api/record-messages.js";

export interface Refusals {
  /** The shown decisions, newest first. */
  readonly shown: readonly Decision[];
  /** Counts of refusals that were too many to be recorded one by one. */
  readonly counts: readonly RefusalCount[];
  /** How many refusals are not shown. */
  readonly more: number;
}

export const noRefusals: Refusals = { shown: [], counts: [], more: 0 };

const shownMax = 12;

/** Whether a SPIFFE ID is that of `caller`, which is a service, "gateway/NAME", or a SPIFFE ID. */
export function isCaller(id: string, caller: string, mesh: string): boolean {
  if (caller.startsWith("spiffe://")) return id === caller;
  return id === `spiffe://${mesh}/${caller.includes("/") ? caller : `service/${caller}`}`;
}

export function addRefusals(known: Refusals, batch: DecisionBatch, caller: string, mesh: string): Refusals {
  const own = batch.decisions.filter(
    (decision) => isCaller(decision.caller, caller, mesh) && isRefusal(decision.verdict) && !decision.shadow,
  );
  const counted = batch.counted.filter((count) => isCaller(count.caller, caller, mesh));
  if (own.length + counted.length === 0) return known;
  const all = [...known.shown, ...own].sort((a, b) => b.timeMs - a.timeMs);
  const counts = [...known.counts, ...counted].sort((a, b) => b.untilMs - a.untilMs);
  const hidden = counts.slice(shownMax).reduce((sum, { count }) => sum + count, 0);
  return {
    shown: all.slice(0, shownMax),
    counts: counts.slice(0, shownMax),
    more: known.more + Math.max(0, all.length - shownMax) + hidden,
  };
}

const isRefusal = (verdict: string): boolean =>
  ["VERDICT_DENIED", "VERDICT_UNAUTHENTICATED", "VERDICT_LIMITED", "VERDICT_UNROUTED"].includes(verdict);

/** Returns one sentence that says who refused the call and by what. */
export function explainRefusal(decision: Decision): string {
  const { direction, verdict, rule, revision, tokenProblem, closed } = decision;
  const by = `by revision ${revision}`;
  if (direction === "DIRECTION_EDGE" && verdict !== "VERDICT_LIMITED") return `${atEdge(decision)}, ${by}.`;
  switch (verdict) {
    case "VERDICT_DENIED":
      return rule === "default-deny"
        ? `No rule of revision ${revision} allows it, so it was denied by default.`
        : `Rule ${rule} denied it, ${by}.${closed ? " The stream was open and was closed when the rule came into force." : ""}`;
    case "VERDICT_UNAUTHENTICATED":
      return `Rule ${rule} asks for a token: ${tokenProblem || "there was none that is valid"}, ${by}.`;
    case "VERDICT_LIMITED":
      return `It was over the limit ${rule}, ${by}.`;
    case "VERDICT_UNROUTED":
      return `No version that it may go to had an endpoint, ${by}.`;
    default:
      return `${rule}, ${by}.`;
  }
}

/** Returns what a gateway refused by. The rule's name is "LISTENER/PART". */
function atEdge({ rule, tokenProblem }: Decision): string {
  const at = rule.indexOf("/");
  const listener = `Listener ${rule.slice(0, Math.max(0, at))}`;
  switch (rule.slice(at + 1)) {
    case "expose":
      return `${listener} does not expose the method`;
    case "protocols":
      return `${listener} does not speak the protocol of the call`;
    case "callers.certificate":
      return `${listener} asks for a client certificate, and none was shown`;
    case "callers.token":
      return `${listener} asks for a token: ${tokenProblem || "there was none that is valid"}`;
    default:
      return `It was refused by ${rule}`;
  }
}
