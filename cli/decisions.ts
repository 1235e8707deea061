/** Recorded decisions, as the control plane answers them. */
import type { DecisionBatch, DecisionRecord } from "../core/decision/decision-record.js";
import { batchOf, decisionOf } from "../core/wire/decisions.js";
import type { ListDecisionsRequest } from "../proto/gen/ashlar/v1/decision.js";
import { type AdminClient, present } from "./client.js";

/** A decision with the proxy that made it. */
export interface DecisionOfProxy {
  readonly service: string;
  readonly proxyId: string;
  readonly decision: DecisionRecord;
}

/** Yields batches, oldest first, and ends with what is there. Leaving the loop ends the call. */
export async function* listDecisions(
  admin: AdminClient,
  request: ListDecisionsRequest,
): AsyncGenerator<DecisionBatch, void, undefined> {
  for await (const { batch } of admin.listDecisions(request)) if (batch !== undefined) yield batchOf(batch, batch); // its writer was verified
}

/** Returns the decision with this id. Fails with `not_found` if it is not recorded. */
export async function findDecision(admin: AdminClient, id: string): Promise<DecisionOfProxy> {
  const { service, proxyId, decision } = await admin.getDecision({ id });
  return { service, proxyId, decision: decisionOf(present(decision)) };
}
