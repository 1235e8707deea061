/** Rollouts for operators: look at them, pause, resume and abort the one that runs. */
import { AshlarError } from "../../core/errors.js";
import type { Activation, Signed } from "../../core/model.js";
import { isInCohort } from "../../core/rollout/cohort.js";
import { type ActivatorDeps, type OperatorCaller, renderReason } from "../activate/activator.js";
import { commitActivation } from "../activate/commit.js";
import { audited } from "../audit/audit-trail.js";
import type { RolloutStep } from "./next-step.js";
import { courseOf, type RolloutCourse, stageHeadOf } from "./rollout-course.js";
import { lookAtRollout, type RolloutDriverDeps } from "./rollout-driver.js";
import type { StageHead } from "./stage-evidence.js";

/** A rollout with what this control plane sees of it now. */
export interface RolloutReport extends RolloutCourse {
  /** undefined unless it runs or is paused. */
  readonly step: RolloutStep | undefined;
  /** Live proxies of the cohort; 0 unless it runs or is paused. */
  readonly members: number;
}

export interface Rollouts {
  /** The rollout with this number; 0: the one that runs, else the newest. Fails with `not_found`. */
  find(number: number): RolloutReport;
  /** The rollout that runs or is paused. */
  running(): RolloutReport | undefined;
  /** The newest first. */
  list(limit: number): readonly RolloutReport[];
  /**
   * Each is a new epoch, and fails with `stale` where no rollout runs, another one than `number` does (0: whichever),
   * or it is paused, or runs, already; with `conflict` if somebody else was first.
   */
  pause(number: number, reason: string, caller: OperatorCaller): Promise<Signed<Activation>>;
  resume(number: number, reason: string, caller: OperatorCaller): Promise<Signed<Activation>>;
  abort(number: number, reason: string, caller: OperatorCaller): Promise<Signed<Activation>>;
}

export function createRollouts(deps: ActivatorDeps & Pick<RolloutDriverDeps, "predictions">): Rollouts {
  const { ledger, fleet } = deps;
  const hearingSinceMs = deps.clock.nowMs();
  const report = (course: RolloutCourse): RolloutReport => {
    const look =
      course.state === "running" || course.state === "paused" ? lookAtRollout(deps, hearingSinceMs) : undefined;
    const rollout = look?.head.body.rollout;
    const isMember = (proxyId: string) => rollout !== undefined && isInCohort(rollout.cohort, rollout.digest, proxyId);
    const members = fleet.live().filter(({ heartbeat }) => isMember(heartbeat.proxyId)).length;
    return { ...course, step: look?.step, members: rollout === undefined ? 0 : members };
  };
  const find = (number: number): RolloutReport => {
    const wanted = number === 0 ? (stageHeadOf(ledger.activations.head())?.body.rollout.number ?? 0) : number;
    const plan = wanted === 0 ? ledger.rollouts.head() : ledger.rollouts.find(wanted);
    if (plan !== undefined) return report(courseOf(plan, ledger.activations.list()));
    const newest = ledger.rollouts.head()?.body.number;
    throw new AshlarError(
      "not_found",
      newest === undefined ? "there was no rollout yet" : `there is no rollout ${number}; the newest is ${newest}`,
    );
  };
  return {
    find,
    running: () => {
      const rollout = stageHeadOf(ledger.activations.head())?.body.rollout;
      const plan = rollout && ledger.rollouts.find(rollout.number); // it may be read a moment after its stage
      return plan === undefined || plan.digest !== rollout?.digest
        ? undefined
        : report(courseOf(plan, ledger.activations.list()));
    },
    list: (limit) => {
      const activations = ledger.activations.list();
      const newest = ledger.rollouts.list().slice(-limit).reverse();
      return newest.map((plan) => report(courseOf(plan, activations)));
    },
    pause: (number, reason, caller) => order(deps, "pause", number, reason, caller),
    resume: (number, reason, caller) => order(deps, "resume", number, reason, caller),
    abort: (number, reason, caller) => order(deps, "abort", number, reason, caller),
  };
}

type Order = "pause" | "resume" | "abort";

function order(
  deps: ActivatorDeps,
  what: Order,
  number: number,
  reason: string,
  caller: OperatorCaller,
): Promise<Signed<Activation>> {
  const target = number === 0 ? "the rollout that runs" : `rollout ${number}`;
  return audited(
    deps.audit,
    { action: "rollout", target, caller, detail: reason },
    async () => {
      await deps.beforeSigning?.();
      return commitOrder(deps, what, findRunning(deps, what, number), reason, caller);
    },
    ({ body }) => ({ detail: `${what}, epoch ${body.epoch}${renderReason(reason)}` }),
  );
}

function findRunning({ ledger }: ActivatorDeps, what: Order, number: number): StageHead {
  const head = stageHeadOf(ledger.activations.head());
  if (head === undefined) throw new AshlarError("stale", `no rollout runs, so there is nothing to ${what}`);
  const { rollout } = head.body;
  if (number !== 0 && number !== rollout.number)
    throw new AshlarError("stale", `rollout ${number} does not run; the one that does is ${rollout.number}`);
  if (what !== "abort" && rollout.paused === (what === "pause"))
    throw new AshlarError("stale", `rollout ${rollout.number} ${what === "pause" ? "is paused" : "runs"} already`);
  return head;
}

function commitOrder(
  deps: ActivatorDeps,
  what: Order,
  head: StageHead,
  reason: string,
  { id }: OperatorCaller,
): Promise<Signed<Activation>> {
  const { body } = head;
  const { rollout } = body;
  const isAbort = what === "abort";
  return commitActivation(deps, head, {
    revisionNumber: isAbort ? rollout.base.number : body.revisionNumber,
    revisionDigest: isAbort ? rollout.base.digest : body.revisionDigest,
    author: id,
    reason: `rollout ${rollout.number}: ${what}${renderReason(reason)}`,
    rollbackOf: isAbort ? body.revisionNumber : undefined,
    forced: false,
    thresholdPercent: 0,
    rollout: isAbort ? undefined : { ...rollout, paused: what === "pause" },
  });
}
