/** The admin API's methods about decisions that proxies recorded. */
import {
  type DecisionBatch,
  isRefusal,
  parseDecisionId,
  timeOfDecisionId,
} from "../../core/decision/decision-record.js";
import { AshlarError } from "../../core/errors.js";
import { renderBatch, renderDecision } from "../../core/wire/decisions.js";
import { refuseUnknownFields } from "../../core/wire/strict.js";
import type { AdminServiceService } from "../../proto/gen/ashlar/v1/admin.js";
import type { ListDecisionsRequest } from "../../proto/gen/ashlar/v1/decision.js";
import { type Implementation, serverStreaming } from "../../runtime/grpc-handlers.js";
import { authorize, type OperatedDeps, operatedBy } from "../admin/operated.js";
import type { DecisionReader } from "./decision-reader.js";

export interface DecisionDeps extends OperatedDeps {
  readonly decisions: DecisionReader;
}

type DecisionMethods = Pick<Implementation<typeof AdminServiceService>, "listDecisions" | "getDecision">;

export function decisionMethods(deps: DecisionDeps): DecisionMethods {
  const { decisions } = deps;
  return {
    listDecisions: serverStreaming(async function* (request, context) {
      await authorize(deps, context);
      refuseUnknownFields(request, "the request");
      for await (const batch of decisions.list(request.sinceMs, context.signal)) {
        const asked = select(batch, request);
        if (asked !== undefined) yield { batch: renderBatch(asked) };
      }
    }),
    getDecision: operatedBy(deps)(async ({ id }, _caller, signal) => {
      const found = await decisions.find(parseDecisionId(id), signal);
      if (found === undefined)
        throw new AshlarError(
          "not_found",
          `no decision ${id} is recorded: it is older than what is kept, its proxy could not store it, or it was ` +
            "one of many refusals alike, which are only counted",
        );
      const { service, proxyId, decision } = found;
      return { service, proxyId, decision: renderDecision(decision) };
    }),
  };
}

/** Returns the part of a batch that was asked for, or undefined if nothing of it was. */
function select(batch: DecisionBatch, asked: ListDecisionsRequest): DecisionBatch | undefined {
  const { sinceMs, service, refused } = asked;
  const untilMs = asked.untilMs === 0 ? Number.POSITIVE_INFINITY : asked.untilMs;
  const decisions = batch.decisions.filter((decision) => {
    const madeMs = timeOfDecisionId(decision.id);
    if (madeMs < sinceMs || madeMs >= untilMs || (service !== "" && decision.service !== service)) return false;
    return !refused || isRefusal(decision.verdict);
  });
  const isOfService = service === "" || batch.service === service;
  const counted = isOfService
    ? batch.counted.filter((count) => count.untilMs >= sinceMs && count.fromMs < untilMs)
    : [];
  if (decisions.length + counted.length + batch.dropped === 0) return undefined;
  return { ...batch, decisions, counted };
}
