/**
 * Takes a rollout from stage to stage, and back if a gate fails. All its inputs are in the log and the fleet, so any
 * number of control planes may drive at once: each append names the head that it follows, one succeeds, and the others
 * look again.
 */
import { isAshlarError, messageOf } from "../../core/errors.js";
import { buildSpiffeId, type SpiffeId } from "../../core/identity.js";
import type { Activation, Signed } from "../../core/model.js";
import { renderStage } from "../../core/rollout/stages.js";
import type { Logger } from "../../runtime/log.js";
import type { ActivatorDeps } from "../activate/activate-options.js";
import { commitActivation } from "../activate/commit.js";
import type { StageFacts } from "./judge-stage.js";
import { nextStep, type RolloutStep } from "./next-step.js";
import type { RefusalPredictions } from "./refusal-predictions.js";
import { stageHeadOf } from "./rollout-course.js";
import type { StageHead } from "./stage-evidence.js";
import type { StageTimes } from "./stage-times.js";

export interface RolloutDriverDeps extends ActivatorDeps {
  /** The name of this control plane, the author of the records that it appends. */
  readonly name: string;
  readonly log: Logger;
  /** The predictions of refusals; undefined: none are made. */
  readonly predictions?: RefusalPredictions;
  readonly times: StageTimes;
}

const lookEveryMs = 1000;

/** Starts driving whichever rollout runs, whichever control plane began it. Returns a function that stops. */
export function startRolloutDriver(deps: RolloutDriverDeps): () => Promise<void> {
  const stop = new AbortController();
  const driving = runRolloutDriver(deps, stop.signal);
  return () => {
    stop.abort();
    return driving;
  };
}

/** Drives rollouts until `signal` aborts. */
async function runRolloutDriver(deps: RolloutDriverDeps, signal: AbortSignal): Promise<void> {
  const { clock, log } = deps;
  let said = "";
  while (!signal.aborted) {
    try {
      await driveOnce(deps, signal);
      said = "";
    } catch (error) {
      const why = messageOf(error);
      if (isAshlarError(error, "conflict")) log.info("another control plane continued the rollout", { why });
      else if (why !== said) log.warn("the rollout cannot continue", { why });
      said = why;
    }
    await clock.sleep(lookEveryMs, signal);
  }
}

export type LookDeps = Pick<RolloutDriverDeps, "ledger" | "fleet" | "clock" | "predictions" | "affected" | "times">;

/** Returns the next step of the running rollout, or undefined if none runs. */
export function lookAtRollout(
  deps: LookDeps,
): { readonly head: StageHead; readonly facts: StageFacts; readonly step: RolloutStep } | undefined {
  const { ledger, fleet, clock, predictions, affected, times } = deps;
  const any = ledger.activations.head();
  const sinceMs = times.sinceMs(any);
  const head = stageHeadOf(any);
  const plan = head && ledger.rollouts.find(head.body.rollout.number);
  if (head === undefined || plan?.digest !== head.body.rollout.digest) return undefined;
  const predictedRefused = predictions?.of(plan);
  const facts: StageFacts = {
    plan: plan.body,
    head,
    entries: fleet.list(),
    nowMs: clock.nowMs(),
    sinceMs,
    hearingSinceMs: times.hearingSinceMs,
    predictedRefused,
    affected: affected.find(plan.body.base, plan.body.candidate),
  };
  return { head, facts, step: nextStep(facts) };
}

/**
 * Looks once, and appends what is needed. Fails as an append does: with `conflict` if somebody else was first. The
 * first look at a plan that asks for a prediction waits for it, a few seconds at most.
 */
export async function driveOnce(deps: RolloutDriverDeps, signal?: AbortSignal): Promise<void> {
  const running = stageHeadOf(deps.ledger.activations.head())?.body.rollout;
  const plan = running && deps.ledger.rollouts.find(running.number);
  if (plan !== undefined && plan.digest === running?.digest) {
    if (plan.body.gates.predicted) await deps.predictions?.prepare(plan, signal);
    await deps.affected.compare(plan.body.base, plan.body.candidate).catch((error: unknown) => {
      deps.log.warn("cannot read what a rollout changes: its stage waits", { why: messageOf(error) });
    });
  }
  const look = lookAtRollout(deps);
  if (look === undefined || look.step.kind === "wait") return;
  const { head, step } = look;
  const { body } = head;
  const { number, base } = body.rollout;
  const by = { author: authorOf(deps), forced: false, thresholdPercent: 0 };
  if (step.kind === "roll-back") {
    const reason = Buffer.from(step.reason).subarray(0, 3000).toString("utf8");
    const done = await commitActivation(deps, head, {
      ...by,
      revisionNumber: base.number,
      revisionDigest: base.digest,
      reason,
      rollbackOf: body.revisionNumber,
      rollout: undefined,
    });
    deps.log.warn("a rollout was rolled back", { rollout: number, why: reason });
    return note(deps, "rollback", done, `from revision ${body.revisionNumber}: ${reason}`);
  }
  const stages = deps.ledger.rollouts.find(number)?.body.stages ?? [];
  const stage = stages[step.stage.stage - 1];
  const what = `stage ${step.stage.stage} of ${stages.length}${stage === undefined ? "" : `: ${renderStage(stage)}`}`;
  const done = await commitActivation(deps, head, {
    ...by,
    revisionNumber: body.revisionNumber,
    revisionDigest: body.revisionDigest,
    reason: `rollout ${number}, ${what}`,
    rollbackOf: undefined,
    rollout: step.stage,
  });
  deps.log.info("a stage of a rollout began", { rollout: number, stage: what, epoch: done.body.epoch });
  return note(deps, "stage", done, `rollout ${number}, ${what}`);
}

function authorOf({ mesh, name }: RolloutDriverDeps): SpiffeId {
  return buildSpiffeId(mesh, "control-plane", name);
}

function note(deps: RolloutDriverDeps, action: "stage" | "rollback", { body }: Signed<Activation>, detail: string) {
  return deps.audit.record({
    actor: authorOf(deps),
    source: "rollout",
    action,
    target: `revision ${body.revisionNumber}`,
    outcome: "ok",
    detail: `epoch ${body.epoch}, ${detail}`,
  });
}
