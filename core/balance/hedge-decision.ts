/** Decides what happens when one of the tries of a hedged call has failed (gRFC A6). Pure. */
import { codeNumber } from "../kinds/amounts.js";
import type { Hedge } from "../kinds/route/route.js";
import type { FailedTry } from "./retry-decision.js";

/**
 * Codes that another instance may not answer. Every other code is about the call itself, so it becomes the call's
 * answer: each further try would get the same.
 */
const sharedByNobody: ReadonlySet<number> = new Set(
  ["CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "INTERNAL", "UNAVAILABLE"].map(
    codeNumber,
  ),
);

export type HedgeDecision =
  /** The failure becomes the answer of the call. */
  | { readonly kind: "answer" }
  /** Nothing is sent; the tries that are still open decide. */
  | { readonly kind: "others" }
  /** The next try begins after `waitMs`. */
  | { readonly kind: "next"; readonly waitMs: number };

const answer: HedgeDecision = Object.freeze({ kind: "answer" });
const others: HedgeDecision = Object.freeze({ kind: "others" });

/** Returns whether the server's pushback forbids further tries. */
export function forbidsMore(pushbackMs: number | undefined): boolean {
  return pushbackMs !== undefined && pushbackMs < 0;
}

/**
 * `open`: the number of other tries that are under way. `mayBegin`: false if no further try may begin, whatever policy
 * says.
 */
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
