/** Begins a staged activation: the signed plan, then the first stage. */
import { AshlarError } from "../../core/errors.js";
import type { Activation, Revision, Signed } from "../../core/model.js";
import type { AffectedCalls } from "../../core/rollout/affected-calls.js";
import { isInCohort, revisionInForce } from "../../core/rollout/cohort.js";
import type { ReplicaChange } from "../../core/rollout/replica-change.js";
import {
  type Cohort,
  everyoneBasisPoints,
  type Rollout,
  type StageOfRollout,
} from "../../core/rollout/rollout-model.js";
import { checkStages, holdMsMax, renderStage } from "../../core/rollout/stages.js";
import { signRollout } from "../../core/wire/rollouts.js";
import type { ActivateOptions, ActivatorDeps, StagedOptions } from "../activate/activate-options.js";
import { commitActivation } from "../activate/commit.js";
import type { OperatorCaller } from "../activate/operator-caller.js";
import { growCohort, nobody } from "./next-cohort.js";
import { stageHeadOf } from "./rollout-course.js";

/**
 * Checks what can be wrong with an activation regardless of the fleet. Fails with `stale` if a rollout runs that is not
 * to be ended, or if there is nothing that a staged activation could go back to, and with `invalid_argument` for stages
 * that break their law.
 */
export function checkMayBegin(head: Signed<Activation> | undefined, options: ActivateOptions): void {
  const running = stageHeadOf(head);
  if (running !== undefined && !options.endRollout) {
    const { number, stage, paused } = running.body.rollout;
    throw new AshlarError(
      "stale",
      `rollout ${number} of revision ${running.body.revisionNumber} ${paused ? "is paused" : "runs"} at stage ${stage}: wait for it, end it with \`ashlar rollout abort\` or \`ashlar rollback\`, or repeat with --end-rollout`,
    );
  }
  if (options.staged === undefined) return;
  checkStages(options.staged.stages);
  const { holdMs } = options.staged;
  if (!Number.isSafeInteger(holdMs) || holdMs < 0 || holdMs > holdMsMax)
    throw new AshlarError("invalid_argument", `hold_ms: expected 0 to ${holdMsMax}, got ${holdMs}`);
  if (head === undefined)
    throw new AshlarError(
      "stale",
      "nothing is active yet, so stages have nothing to go back to: activate without --stages",
    );
}

/**
 * Appends the plan, then its first stage. Fails with `stale` if the first stage selects no proxy, `conflict` as
 * `activate` does.
 */
export async function beginRollout(
  deps: ActivatorDeps,
  head: Signed<Activation> | undefined,
  revision: Signed<Revision>,
  options: ActivateOptions & { readonly staged: StagedOptions },
  caller: OperatorCaller,
): Promise<Signed<Activation>> {
  const { ledger, mesh, signer, clock } = deps;
  if (head === undefined) throw new AshlarError("internal", "a rollout without a base");
  const base = revisionInForce(head.body);
  const candidate = { number: revision.body.number, digest: revision.digest };
  if (candidate.digest === base.digest)
    throw new AshlarError(
      "stale",
      `revision ${base.number} is what everyone outside the rollout evaluates: \`ashlar rollout abort\` goes back to it`,
    );
  refuseTwoReplicas(base, candidate, await deps.affected.replicaChanges(base, candidate));
  const affected = await deps.affected.compare(base, candidate);
  const { before, isLost } = findPlanBefore(ledger);
  const body: Rollout = {
    ...options.staged,
    candidate,
    base,
    author: caller.id,
    reason: options.reason,
    timeMs: clock.nowMs(),
    number: (before?.number ?? 0) + 1,
    previous: before?.digest,
  };
  const plan = signRollout(body, mesh, signer);
  const cohort = firstCohort(deps, plan, affected);
  if (ledger.activations.head()?.digest === head.digest) {
    if (isLost) await ledger.rollouts.recover([plan.bytes], true);
    else await ledger.rollouts.append(plan);
  } // otherwise the commit says who was first
  return commitActivation(deps, head, {
    revisionNumber: candidate.number,
    revisionDigest: candidate.digest,
    author: caller.id,
    reason: options.reason,
    rollbackOf: undefined,
    forced: options.force,
    thresholdPercent: options.thresholdPercent,
    rollout: { number: body.number, digest: plan.digest, stage: 1, base, cohort, paused: false },
  });
}

/** While both are evaluated, a read could be answered by what one of them takes for a primary, and miss its caller's write. */
function refuseTwoReplicas(
  base: Pick<Revision, "number">,
  candidate: Pick<Revision, "number">,
  [change]: readonly ReplicaChange[],
): void {
  if (change === undefined) return;
  throw new AshlarError(
    "stale",
    `revision ${base.number} sends reads of ${change.service} to the replica ${change.base} and revision ${candidate.number} to ` +
      `${change.candidate}: while a rollout has both, a read may miss the write that it names. First activate a policy whose Journal of ` +
      `${change.service} has no \`reads\`, then this one`,
  );
}

/**
 * Returns the plan that the next one follows. A plan that an activation names may be lost; its number is not used
 * again.
 */
function findPlanBefore({ rollouts, activations }: ActivatorDeps["ledger"]): {
  readonly before: Pick<StageOfRollout, "number" | "digest"> | undefined;
  readonly isLost: boolean;
} {
  const head = rollouts.head();
  const known = head && { number: head.body.number, digest: head.digest };
  const named = activations.list().findLast(({ body }) => body.rollout !== undefined)?.body.rollout;
  const isLost = named !== undefined && named.number > (known?.number ?? 0);
  return { before: isLost ? named : known, isLost };
}

function firstCohort({ fleet }: ActivatorDeps, plan: Signed<Rollout>, affected: readonly AffectedCalls[]): Cohort {
  const [first] = plan.body.stages;
  if (first === undefined) throw new AshlarError("internal", "a rollout without a stage");
  const live = fleet.live();
  const cohort = growCohort(nobody, first, plan.digest, live, affected);
  if (cohort.basisPoints >= everyoneBasisPoints) return cohort;
  if (live.some(({ heartbeat }) => isInCohort(cohort, plan.digest, heartbeat.proxyId))) return cohort;
  const who = first.kind === "label" ? `no live proxy has the label ${first.key}=${first.value}` : "no proxy is live";
  throw new AshlarError("stale", `stage 1 (${renderStage(first)}) would be one of nobody: ${who}`);
}
