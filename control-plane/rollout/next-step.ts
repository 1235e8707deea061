/**
 * Computes the next step of a rollout from the log, the fleet and the time alone. Everyone gets the same answer, so any
 * control plane can continue where another one died, and two that drive at once only race for one append. Pure.
 */
import type { StageOfRollout } from "../../core/rollout/rollout-model.js";
import { holdOf } from "../../core/rollout/stages.js";
import { type GateFigure, judgeStage, type StageFacts } from "./judge-stage.js";
import { growCohort } from "./next-cohort.js";

export type RolloutStep =
  | { readonly kind: "wait"; readonly waitsFor: readonly string[]; readonly figures: readonly GateFigure[] }
  | { readonly kind: "advance"; readonly stage: StageOfRollout; readonly figures: readonly GateFigure[] }
  | { readonly kind: "roll-back"; readonly reason: string; readonly figures: readonly GateFigure[] };

/**
 * Returns the next step. A gate that fails rolls back at once, even if the rollout is paused. The next stage begins
 * when the hold is over and every gate passes.
 */
export function nextStep(facts: StageFacts): RolloutStep {
  const { plan, head, nowMs, sinceMs } = facts;
  const { rollout } = head.body;
  const holdMs = holdOf(plan, rollout.stage);
  const figures = judgeStage(facts);
  const failed = figures.find(({ outcome }) => outcome === "fails");
  if (failed !== undefined) return { kind: "roll-back", reason: renderFailure(facts, failed), figures };
  const waitsFor = [
    ...(rollout.paused ? ["somebody to resume it"] : []),
    ...(nowMs < sinceMs + holdMs ? [`the hold of ${holdMs / 1000} s to end`] : []),
    ...figures.filter(({ outcome }) => outcome === "holds").map(({ gate, text }) => `${gate}: ${text}`),
  ];
  const stage = stageAfter(facts);
  if (waitsFor.length > 0 || stage === undefined) return { kind: "wait", waitsFor, figures };
  return { kind: "advance", stage, figures };
}

/** Returns the stage that follows, whatever the gates say; undefined: there is none. */
export function stageAfter({ plan, head, entries, affected }: StageFacts): StageOfRollout | undefined {
  const { rollout } = head.body;
  const next = plan.stages[rollout.stage];
  if (next === undefined) return undefined;
  const live = entries.filter((entry) => entry.live);
  const cohort = growCohort(rollout.cohort, next, rollout.digest, live, affected);
  return { ...rollout, stage: rollout.stage + 1, cohort, paused: false };
}

function renderFailure({ plan, head }: StageFacts, { gate, text }: GateFigure): string {
  const { stage, number } = head.body.rollout;
  return `rollout ${number} failed its gate "${gate}" at stage ${stage} of ${plan.stages.length}: ${text}`;
}
