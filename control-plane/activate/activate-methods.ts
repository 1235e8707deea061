/** The admin API's methods that activate revisions and show activations. */
import type { AdminServiceService } from "../../proto/gen/ashlar/v1/admin.js";
import { type Implementation, serverStreaming } from "../../runtime/grpc-handlers.js";
import { renderActivation } from "../admin/admin-messages.js";
import { authorize, type OperatedDeps, operatedBy } from "../admin/operated.js";
import { parseActivateRequest } from "../rollout/rollout-methods.js";
import type { Ledger } from "../store/ledger.js";
import type { Activator } from "./activator.js";
import type { Rollback } from "./rollback.js";
import { watchActivations } from "./watch-activations.js";

export interface ActivateMethodsDeps extends OperatedDeps {
  readonly ledger: Pick<Ledger, "activations">;
  readonly activator: Activator;
  readonly rollback: Rollback;
}

type ActivateMethods = Pick<
  Implementation<typeof AdminServiceService>,
  "activateRevision" | "rollback" | "watchActivations"
>;

export function activateMethods(deps: ActivateMethodsDeps): ActivateMethods {
  const { ledger, activator } = deps;
  const operated = operatedBy(deps);
  return {
    activateRevision: operated(async (request, caller, signal) => {
      const { activation, created, tookMs } = await activator.activate(parseActivateRequest(request), caller, signal);
      return { activation: renderActivation(activation), created, tookMs };
    }),
    rollback: operated(async (request, caller, signal) => {
      const options = { ...request, to: request.to };
      const { activation, tookMs, behind } = await deps.rollback.rollback(options, caller, signal);
      return { activation: renderActivation(activation), tookMs, behind: [...behind] };
    }),
    watchActivations: serverStreaming(async function* (request, context) {
      await authorize(deps, context);
      for await (const activation of watchActivations(ledger.activations, request.fromEpoch, context.signal)) {
        yield { activation: renderActivation(activation) };
      }
    }),
  };
}
