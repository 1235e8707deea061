/** What makes revisions active: at an operator's word, and stage by stage. */
import { type Activator, createActivator } from "./activate/activator.js";
import { type Approvals, type ApprovalsDeps, createApprovals } from "./activate/approvals.js";
import { createRollback, type Rollback } from "./activate/rollback.js";
import { createRefusalPredictions, type RefusalPredictionsDeps } from "./rollout/refusal-predictions.js";
import { type RolloutDriverDeps, startRolloutDriver } from "./rollout/rollout-driver.js";
import { createRollouts, type Rollouts } from "./rollout/rollouts.js";
import { createShadows, type Shadows } from "./shadow/shadows.js";

export type ActivatingDeps = Omit<RolloutDriverDeps, "predictions" | "approvals"> &
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
  const deps = { ...base, approvals, predictions: createRefusalPredictions(base) };
  const stop = startRolloutDriver(deps);
  const [rollouts, shadows] = [createRollouts(deps), createShadows(deps)];
  return { activator: createActivator(deps), rollback: createRollback(deps), rollouts, shadows, approvals, stop };
}
