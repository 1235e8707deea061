/** Computes the course and the outcome of a rollout from the log of activations. Pure. */
import type { Activation, Signed } from "../../core/model.js";
import { isUnderway } from "../../core/rollout/cohort.js";
import type { Rollout, StageOfRollout } from "../../core/rollout/rollout-model.js";
import type { StageHead } from "./stage-evidence.js";

export type RolloutState = "running" | "paused" | "done" | "rolled-back" | "replaced" | "not-begun";

export interface RolloutCourse {
  readonly plan: Signed<Rollout>;
  readonly state: RolloutState;
  /** The activations of its stages, pauses included, oldest first. */
  readonly epochs: readonly Signed<Activation>[];
  /** The last of those. */
  readonly last: Signed<Activation> | undefined;
  /** The activation that ended it before it was done. */
  readonly end: Signed<Activation> | undefined;
}

/** Returns the course of a rollout. `activations`: the whole log, oldest first. */
export function courseOf(plan: Signed<Rollout>, activations: readonly Signed<Activation>[]): RolloutCourse {
  const epochs = activations.filter(({ body }) => body.rollout?.digest === plan.digest);
  const last = epochs.at(-1);
  if (last === undefined) return { plan, state: "not-begun", epochs, last, end: undefined };
  if (!isUnderway(last.body)) return { plan, state: "done", epochs, last, end: undefined };
  const end = activations.find(({ body }) => body.epoch > last.body.epoch);
  if (end === undefined) {
    return { plan, state: last.body.rollout?.paused ? "paused" : "running", epochs, last, end };
  }
  const back = end.body.rollbackOf === plan.body.candidate.number;
  return { plan, state: back ? "rolled-back" : "replaced", epochs, last, end };
}

/** A rollout that is underway, mentioned beside answers about the revision in force, which is then its base. */
export interface RolloutBeside {
  readonly number: number;
  readonly candidate: number;
  readonly base: number;
  readonly stage: number;
}

/** Returns undefined if the activation is not a stage of a rollout, or is the last stage. */
export function rolloutBeside(head: Signed<Activation> | undefined): RolloutBeside | undefined {
  const running = stageHeadOf(head);
  if (running === undefined) return undefined;
  const { revisionNumber: candidate, rollout } = running.body;
  return { number: rollout.number, candidate, base: rollout.base.number, stage: rollout.stage };
}

/** Returns the head of the activation log if a rollout is running or paused there. */
export function stageHeadOf(head: Signed<Activation> | undefined): StageHead | undefined {
  const rollout: StageOfRollout | undefined = head?.body.rollout;
  if (head === undefined || rollout === undefined || !isUnderway(head.body)) return undefined;
  return { ...head, body: { ...head.body, rollout } };
}
