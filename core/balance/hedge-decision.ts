/** What follows when one of the tries of a hedged call has failed (gRFC A6). Pure. */
import { codeNumber } from "../kinds/amounts.js";
import type { Hedge } from "../kinds/route/route.js";
import type { FailedTry } from "./retry-decision.js";

/**
 * Failures that another instance may not share. Every other code says something of the call itself, so it is the answer:
 * another try would only be told the same.
 */
const sharedByNobody: ReadonlySet<number> = new Set(
  ["CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "INTERNAL", "UNAVAILABLE"].map(
    codeNumber,
  ),
);

export type HedgeDecision =
  /** The failure is the call's answer. */
  | { readonly kind: "answer" }
  /** The tries that are open decide. */
  | { readonly kind: "others" }
  /** The next try begins after `waitMs`. */
  | { readonly kind: "next"; readonly waitMs: number };

const answer: HedgeDecision = Object.freeze({ kind: "answer" });
const others: HedgeDecision = Object.freeze({ kind: "others" });

/** Whether the server said that nothing more may be tried. */
export function forbidsMore(pushbackMs: number | undefined): boolean {
  return pushbackMs !== undefined && pushbackMs < 0;
}

/** `open`: how many other tries are under way. `mayBegin`: false if no further try may begin, whatever policy says. */
export function decideHedge(
  { attempts }: Pick<Hedge, "attempts">,
  { code, tries, pushbackMs }: FailedTry,
  open: number,
  mayBegin: boolean,
): HedgeDecision {
  if (!sharedByNobody.has(code)) return answer;
  if (mayBegin && tries < attempts && !forbidsMore(pushbackMs)) return { kind: "next", waitMs: pushbackMs ?? 0 };
  return open > 0 ? others : answer;
}
