/** The admin API's handlers about a candidate that is asked beside the active revision. */
import type { AdminServiceService, ShadowInfo } from "../../proto/gen/ashlar/v1/admin.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import type { ShadowReport, Shadows } from "../shadow/shadows.js";
import { renderActivation } from "./admin-messages.js";
import type { Operated } from "./operated.js";

type ShadowMethods = Pick<Implementation<typeof AdminServiceService>, "startShadow" | "stopShadow" | "getShadow">;

const missingMax = 100;

export function shadowMethods(shadows: Shadows, operated: Operated): ShadowMethods {
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
    ...{ revision: shadow.number, active: revisionNumber, shareBasisPoints: shadow.shareBasisPoints },
    ...{ epoch, author, reason, sinceMs: timeMs },
    services: services.map((one) => ({
      ...one,
      missing: one.missing.slice(0, missingMax),
      missingCount: one.missing.length,
      flips: one.flips.map((flip) => ({ ...flip })),
    })),
  };
}
