/** Opens everything that activates revisions: activation, rollback, rollouts, shadows and approvals. */

import { type AffectedReaderDeps, createAffectedReader } from "../rollout/affected-reader.js";
import { createRefusalPredictions, type RefusalPredictionsDeps } from "../rollout/refusal-predictions.js";
import { type RolloutDriverDeps, startRolloutDriver } from "../rollout/rollout-driver.js";
import { createRollouts, type Rollouts } from "../rollout/rollouts.js";
import { StageTimes } from "../rollout/stage-times.js";
import { createShadows, type Shadows } from "../shadow/shadows.js";
import { type Activator, createActivator } from "./activator.js";
import { type Approvals, type ApprovalsDeps, createApprovals } from "./approvals.js";
import { createPrepareOrders, type PrepareOrdersDeps } from "./prepare-orders.js";
import { createRollback, type Rollback } from "./rollback.js";

export type ActivatingDeps = Omit<RolloutDriverDeps, "predictions" | "approvals" | "affected" | "times" | "orders"> &
  AffectedReaderDeps &
  RefusalPredictionsDeps &
  ApprovalsDeps &
  PrepareOrdersDeps & {
    /** The number of approvals that an activation needs. */
    readonly approvalsRequired: number;
  };

export interface Activating {
  readonly activator: Activator;
  readonly rollback: Rollback;
  readonly rollouts: Rollouts;
  readonly shadows: Shadows;
  readonly approvals: Approvals;
  /** Stops driving rollouts. */
  stop(): Promise<void>;
}

/** Opens the parts, and continues a running rollout at once, whichever control plane began it. */
export function openActivating(base: ActivatingDeps): Activating {
  const approvals = createApprovals(base, base.approvalsRequired);
  const looking = { affected: createAffectedReader(base), times: new StageTimes(base.clock) };
  const deps = { ...base, ...looking, approvals, predictions: createRefusalPredictions(base) };
  const stop = startRolloutDriver(deps);
  const [rollouts, shadows] = [createRollouts(deps), createShadows(deps)];
  const activator = createActivator({ ...deps, orders: createPrepareOrders(base) });
  return { activator, rollback: createRollback(deps), rollouts, shadows, approvals, stop };
}
