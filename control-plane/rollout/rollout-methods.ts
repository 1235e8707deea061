/** The admin API's handlers about rollouts, and the conversion of their messages. */
import { AshlarError, messageOf } from "../../core/errors.js";
import { gatesDefault } from "../../core/rollout/gates.js";
import { holdMsDefault, renderStage } from "../../core/rollout/stages.js";
import { encodeGates, parseGates, parseStage } from "../../core/wire/rollouts.js";
import type {
  ActivateRevisionRequest,
  AdminServiceService,
  RolloutInfo,
  RolloutPlan,
} from "../../proto/gen/ashlar/v1/admin.js";
import type { Implementation } from "../../runtime/grpc-handlers.js";
import type { ActivateOptions, StagedOptions } from "../activate/activate-options.js";
import { renderActivation } from "../admin/admin-messages.js";
import { type OperatedDeps, operatedBy } from "../admin/operated.js";
import type { RolloutReport, Rollouts } from "./rollouts.js";

type RolloutMethods = Pick<
  Implementation<typeof AdminServiceService>,
  "getRollout" | "listRollouts" | "pauseRollout" | "resumeRollout" | "abortRollout" | "advanceRollout"
>;

const listDefault = 100;
const listMax = 1000;

export interface RolloutMethodsDeps extends OperatedDeps {
  readonly rollouts: Rollouts;
}

export function rolloutMethods(deps: RolloutMethodsDeps): RolloutMethods {
  const { rollouts } = deps;
  const operated = operatedBy(deps);
  return {
    getRollout: operated(({ number }) => ({ rollout: renderRollout(rollouts.find(number)) })),
    listRollouts: operated(({ limit }) => {
      if (limit > listMax) throw new AshlarError("invalid_argument", `limit: at most ${listMax}, got ${limit}`);
      return { rollouts: rollouts.list(limit === 0 ? listDefault : limit).map(renderRollout) };
    }),
    pauseRollout: operated(async ({ number, reason }, caller) => ({
      activation: renderActivation(await rollouts.pause(number, reason, caller)),
    })),
    resumeRollout: operated(async ({ number, reason }, caller) => ({
      activation: renderActivation(await rollouts.resume(number, reason, caller)),
    })),
    advanceRollout: operated(async ({ number, reason }, caller) => ({
      activation: renderActivation(await rollouts.advance(number, reason, caller)),
    })),
    abortRollout: operated(async ({ number, reason }, caller) => ({
      activation: renderActivation(await rollouts.abort(number, reason, caller)),
    })),
  };
}

/** Parses a request for an activation. Fails with `invalid_argument`. */
export function parseActivateRequest(request: ActivateRevisionRequest): ActivateOptions {
  const { plan, ...options } = request;
  return { ...options, expectedEpoch: request.expectedEpoch, staged: plan && parsePlan(plan) };
}

function parsePlan({ stages, holdMs, gates }: RolloutPlan): StagedOptions {
  try {
    return {
      stages: stages.map(parseStage),
      holdMs: holdMs ?? holdMsDefault,
      gates: gates === undefined ? gatesDefault : parseGates(gates),
    };
  } catch (cause) {
    throw new AshlarError("invalid_argument", `plan: ${messageOf(cause)}`, { cause });
  }
}

export function renderRollout({ plan, state, epochs, last, end, step, about, members }: RolloutReport): RolloutInfo {
  const { body, digest } = plan;
  return {
    number: body.number,
    digest,
    state,
    candidate: body.candidate.number,
    base: body.base.number,
    stages: body.stages.map(renderStage),
    stage: last?.body.rollout?.stage ?? 0,
    stageSinceMs: last?.body.timeMs ?? 0,
    holdMs: body.holdMs,
    gates: encodeGates(body.gates),
    author: body.author,
    reason: body.reason,
    timeMs: body.timeMs,
    epochs: epochs.map((epoch) => epoch.body.epoch),
    endEpoch: end?.body.epoch ?? 0,
    endAuthor: end?.body.author ?? "",
    endReason: end?.body.reason ?? "",
    figures: (step?.figures ?? []).map((figure) => ({ ...figure })),
    waitsFor: step?.kind === "wait" ? [...step.waitsFor] : [],
    members,
    about: [...about],
  };
}
