import type { DestinationBudget } from "../../core/balance/retry-budget.js";

/** The first try and the retries that are surely safe. */
const attemptsMax = 3;
/** Where each was on a connection that the other side ended in order: it is the connection that is meant, not the call. */
const attemptsMaxLeaving = 10;

/** Whether a call that was surely not processed is sent again. `isLeaving`: its connection takes no calls any more. */
export function mayRetry(
  attempts: number,
  isLeaving: boolean,
  budget: Pick<DestinationBudget, "take">,
  nowMs: number,
): boolean {
  return isLeaving ? attempts < attemptsMaxLeaving : attempts < attemptsMax && budget.take(nowMs);
}
