import type { DestinationBudget } from "../../core/balance/retry-budget.js";

/** The most attempts: the first and the retries that are surely safe. */
const attemptsMax = 3;
/**
 * The most attempts while each was on a connection that the other side closed in order. Then the connection is to
 * blame, not the call.
 */
const attemptsMaxLeaving = 10;

/**
 * Returns whether a call that was surely not processed is sent again. `isLeaving`: its connection accepts no more
 * calls.
 */
export function mayRetry(
  attempts: number,
  isLeaving: boolean,
  budget: Pick<DestinationBudget, "take">,
  nowMs: number,
): boolean {
  return isLeaving ? attempts < attemptsMaxLeaving : attempts < attemptsMax && budget.take(nowMs);
}
