/** What makes revisions active: at an operator's word, and stage by stage. */
import { type Activator, createActivator } from "./activate/activator.js";
import { type Approvals, type ApprovalsDeps, createApprovals } from "./activate/approvals.js";
import { createRollback, type Rollback } from "./activate/rollback.js";
import { type AffectedReaderDeps, createAffectedReader } from "./rollout/affected-reader.js";
import { createRefusalPredictions, type RefusalPredictionsDeps } from "./rollout/refusal-predictions.js";
import { type RolloutDriverDeps, startRolloutDriver } from "./rollout/rollout-driver.js";
import { createRollouts, type Rollouts } from "./rollout/rollouts.js";
import { StageTimes } from "./rollout/stage-times.js";
import { createShadows, type Shadows } from "./shadow/shadows.js";

export type ActivatingDeps = Omit<RolloutDriverDeps, "predictions" | "approvals" | "affected" | "times"> &
  AffectedReaderDeps &
  RefusalPredictionsDeps &
  ApprovalsDeps & {
    /** How many approvals an activation needs. */
    readonly approvalsRequired: number;
  };

export interface Activating {
  readonly activator: Activator;
  readonly rollback: Rollback;
  readonly rollouts: Rollouts;
  readonly shadows: Shadows;
  readonly approvals: Approvals;
  /** Ends the driving of rollouts. */
  stop(): Promise<void>;
}

/** Goes on at once with a rollout that runs, whoever began it. */
export function openActivating(base: ActivatingDeps): Activating {
  const approvals = createApprovals(base, base.approvalsRequired);
  const looking = { affected: createAffectedReader(base), times: new StageTimes(base.clock) };
  const deps = { ...base, ...looking, approvals, predictions: createRefusalPredictions(base) };
  const stop = startRolloutDriver(deps);
  const [rollouts, shadows] = [createRollouts(deps), createShadows(deps)];
  return { activator: createActivator(deps), rollback: createRollback(deps), rollouts, shadows, approvals, stop };
}
