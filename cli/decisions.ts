/** Reads recorded decisions from the control plane. */
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

/** Yields the present batches, oldest first, and then ends. Leaving the loop ends the call. */
export async function* listDecisions(
  admin: AdminClient,
  request: ListDecisionsRequest,
): AsyncGenerator<DecisionBatch, void, undefined> {
  // the control plane has verified its writer
  for await (const { batch } of admin.listDecisions(request)) if (batch !== undefined) yield batchOf(batch, batch);
}

/** Returns the decision with this id. Fails with `not_found` if it is not recorded. */
export async function findDecision(admin: AdminClient, id: string): Promise<DecisionOfProxy> {
  const { service, proxyId, decision } = await admin.getDecision({ id });
  return { service, proxyId, decision: decisionOf(present(decision)) };
}
