/** The admin API's handlers about a candidate that is evaluated beside the active revision. */
import type { AdminServiceService, ShadowInfo } from "../../proto/gen/ashlar/v1/admin.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import { renderActivation } from "../admin/admin-messages.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import type { ShadowReport, Shadows } from "./shadows.js";

type ShadowMethods = Pick<Implementation<typeof AdminServiceService>, "startShadow" | "stopShadow" | "getShadow">;

const missingMax = 100;

export interface ShadowMethodsDeps extends OperatedDeps {
  readonly shadows: Shadows;
}

export function shadowMethods(deps: ShadowMethodsDeps): ShadowMethods {
  const { shadows } = deps;
  const operated = operatedBy(deps);
  return {
    startShadow: operated(async ({ revision, shareBasisPoints, reason }, caller) => ({
      activation: renderActivation(await shadows.start(revision, shareBasisPoints, reason, caller)),
    })),
    stopShadow: operated(async ({ reason }, caller) => ({
      activation: renderActivation(await shadows.stop(reason, caller)),
    })),
    getShadow: operated(() => ({ shadow: renderShadow(shadows.report()) })),
  };
}

function renderShadow({ head, services }: ShadowReport): ShadowInfo | undefined {
  if (head === undefined) return undefined;
  const { shadow, epoch, revisionNumber, author, reason, timeMs } = head.body;
  return {
    revision: shadow.number,
    active: revisionNumber,
    shareBasisPoints: shadow.shareBasisPoints,
    epoch,
    author,
    reason,
    sinceMs: timeMs,
    services: services.map((one) => ({
      ...one,
      missing: one.missing.slice(0, missingMax),
      missingCount: one.missing.length,
      flips: one.flips.map((flip) => ({ ...flip })),
    })),
  };
}
