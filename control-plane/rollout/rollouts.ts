/** Rollouts for operators: shows them, and pauses, resumes or aborts the one that runs. */
import { AshlarError } from "../../core/errors.js";
import type { Activation, Signed } from "../../core/model.js";
import { isInCohort } from "../../core/rollout/cohort.js";
import type { StageOfRollout } from "../../core/rollout/rollout-model.js";
import type { ActivatorDeps } from "../activate/activate-options.js";
import { renderReason } from "../activate/activator.js";
import { commitActivation } from "../activate/commit.js";
import type { OperatorCaller } from "../activate/operator-caller.js";
import { audited } from "../audit/audit-trail.js";
import { renderAbout } from "./judge-samples.js";
import { type RolloutStep, stageAfter } from "./next-step.js";
import { courseOf, type RolloutCourse, stageHeadOf } from "./rollout-course.js";
import { type LookDeps, lookAtRollout } from "./rollout-driver.js";
import type { StageHead } from "./stage-evidence.js";

/** A rollout with what this control plane knows about it now. */
export interface RolloutReport extends RolloutCourse {
  /** Set only while the rollout runs or is paused. */
  readonly step: RolloutStep | undefined;
  /** The calls that its candidate may decide differently from its base, one line each; empty: none, or not known. */
  readonly about: readonly string[];
  /** The number of live proxies in the cohort; 0 unless the rollout is running or paused. */
  readonly members: number;
}

export interface Rollouts {
  /** Returns the rollout with this number; 0: the one that runs, otherwise the newest. Fails with `not_found`. */
  find(number: number): RolloutReport;
  /** Returns the rollout that is running or paused. */
  running(): RolloutReport | undefined;
  /** Returns rollouts, the newest first. */
  list(limit: number): readonly RolloutReport[];
  /**
   * Pauses the rollout. Like `resume` and `abort`, this commits a new epoch. Fails with `stale` if no rollout runs, if
   * another one than `number` does (0: any), or if it is already paused (or already running), and with `conflict` if
   * somebody else was first.
   */
  pause(number: number, reason: string, caller: OperatorCaller): Promise<Signed<Activation>>;
  resume(number: number, reason: string, caller: OperatorCaller): Promise<Signed<Activation>>;
  abort(number: number, reason: string, caller: OperatorCaller): Promise<Signed<Activation>>;
  /**
   * Begins the next stage now, without what the present one waits for. Also fails with `stale` while a gate fails,
   * because the rollout is then rolled back.
   */
  advance(number: number, reason: string, caller: OperatorCaller): Promise<Signed<Activation>>;
}

export function createRollouts(deps: ActivatorDeps & LookDeps): Rollouts {
  const { ledger, fleet } = deps;
  const report = (course: RolloutCourse): RolloutReport => {
    const look = course.state === "running" || course.state === "paused" ? lookAtRollout(deps) : undefined;
    const rollout = look?.head.body.rollout;
    const isMember = (proxyId: string) => rollout !== undefined && isInCohort(rollout.cohort, rollout.digest, proxyId);
    const members = fleet.live().filter(({ heartbeat }) => isMember(heartbeat.proxyId)).length;
    const about = (look?.facts.affected ?? []).map(renderAbout);
    return { ...course, step: look?.step, about, members: rollout === undefined ? 0 : members };
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
      // the plan may be read a moment after its first stage
      const plan = rollout && ledger.rollouts.find(rollout.number);
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
    advance: (number, reason, caller) => order(deps, "advance", number, reason, caller),
  };
}

type Order = "pause" | "resume" | "abort" | "advance";

function order(
  deps: ActivatorDeps & LookDeps,
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
      const head = findRunning(deps, what, number);
      const rollout = what === "advance" ? await findNextStage(deps, head) : undefined;
      return commitOrder(deps, what, head, rollout, reason, caller);
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
  if ((what === "pause" || what === "resume") && rollout.paused === (what === "pause"))
    throw new AshlarError("stale", `rollout ${rollout.number} ${what === "pause" ? "is paused" : "runs"} already`);
  return head;
}

async function findNextStage(deps: ActivatorDeps & LookDeps, head: StageHead): Promise<StageOfRollout> {
  const { number, digest } = head.body.rollout;
  const plan = deps.ledger.rollouts.find(number);
  if (plan?.digest !== digest) throw new AshlarError("unavailable", `the plan of rollout ${number} is not read yet`);
  await deps.affected.compare(plan.body.base, plan.body.candidate);
  const look = lookAtRollout(deps);
  if (look === undefined || look.head.digest !== head.digest)
    throw new AshlarError("conflict", "the rollout went on meanwhile: look again");
  if (look.step.kind === "roll-back") throw new AshlarError("stale", look.step.reason);
  const next = stageAfter(look.facts);
  if (next === undefined) throw new AshlarError("stale", `rollout ${number} has no further stage`);
  return next;
}

function commitOrder(
  deps: ActivatorDeps,
  what: Order,
  head: StageHead,
  next: StageOfRollout | undefined,
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
    rollout: isAbort ? undefined : (next ?? { ...rollout, paused: what === "pause" }),
  });
}
