/** Goes back to an earlier revision by activating it again, without waiting for proxies to prepare it. */
import { rollbackTarget } from "../../core/activation.js";
import { AshlarError, unreachable } from "../../core/errors.js";
import type { Activation, Signed } from "../../core/model.js";
import { isUnderway, revisionInForce } from "../../core/rollout/cohort.js";
import { audited } from "../audit/audit-trail.js";
import { isActive } from "../fleet/fleet-state.js";
import { waitForFleet } from "../fleet/fleet-wait.js";
import { findRevision } from "../store/find-revision.js";
import type { ActivatorDeps } from "./activate-options.js";
import { checkTimeout, renderReason, sinceMs, waitTimeoutMsDefault } from "./activator.js";
import { commitActivation } from "./commit.js";
import type { OperatorCaller } from "./operator-caller.js";

export interface RollbackOptions {
  /** The number of the target revision; undefined: the one that was active before. */
  readonly to: number | undefined;
  readonly reason: string;
  /** Resolve only when every live proxy evaluates the new epoch, or the timeout ends. */
  readonly wait: boolean;
  /** How long to wait, in milliseconds; 0: 30 seconds. */
  readonly waitTimeoutMs: number;
}

export interface RolledBack {
  readonly activation: Signed<Activation>;
  /** Milliseconds from the request to the commit, or with `wait` to the last proxy's report. */
  readonly tookMs: number;
  /** The ids of live proxies that did not report in time; empty without `wait`. */
  readonly behind: readonly string[];
}

export interface Rollback {
  /**
   * Commits at once. A revision that was never in force needs the approvals of an activation. Fails with `stale` if
   * there is nothing to go back to or the target is active, with `not_found` for a revision that was never published,
   * and with `conflict` if somebody else was first.
   */
  rollback(options: RollbackOptions, caller: OperatorCaller, signal?: AbortSignal): Promise<RolledBack>;
}

export function createRollback(deps: ActivatorDeps): Rollback {
  return {
    async rollback(options, caller, signal) {
      const startMs = deps.clock.monotonicMs();
      const timeoutMs = options.waitTimeoutMs === 0 ? waitTimeoutMsDefault : options.waitTimeoutMs;
      checkTimeout("wait_timeout_ms", timeoutMs);
      const target = options.to === undefined ? "the revision before" : `revision ${options.to}`;
      const activation = await audited(
        deps.audit,
        { action: "rollback", target, caller, detail: options.reason },
        () => commitRollback(deps, options, caller),
        ({ body }) => ({
          target: `revision ${body.revisionNumber}`,
          detail: `epoch ${body.epoch}, from revision ${body.rollbackOf}${renderReason(options.reason)}`,
        }),
      );
      if (!options.wait) return { activation, tookMs: sinceMs(deps.clock, startMs), behind: [] };
      const { missing } = await waitForFleet(deps.fleet, deps.clock, {
        isThere: ({ heartbeat }) => isActive(heartbeat, activation.body),
        percent: 100,
        timeoutMs,
        ...(signal && { signal }),
      });
      const behind = missing.map(({ heartbeat }) => heartbeat.proxyId);
      return { activation, tookMs: sinceMs(deps.clock, startMs), behind };
    },
  };
}

async function commitRollback(
  deps: ActivatorDeps,
  options: RollbackOptions,
  caller: OperatorCaller,
): Promise<Signed<Activation>> {
  await deps.beforeSigning?.();
  const { activations, revisions } = deps.ledger;
  const head = activations.head();
  const published = revisions.head()?.body.number ?? 0;
  const target = rollbackTarget(
    activations.list().map(({ body }) => body),
    options.to,
    published,
  );
  if (target.kind === "refused" && target.why === "already_active" && head !== undefined && isUnderway(head.body))
    throw new AshlarError(
      "stale",
      `revision ${options.to} is what rollout ${head.body.rollout?.number} brings; \`ashlar rollback\` without --to ends it`,
    );
  if (target.kind === "refused") throw refusal(target.why, head?.body.revisionNumber, options.to, published);
  const revision = findRevision(deps.ledger, target.revision);
  if (!activations.list().some(({ body }) => revisionInForce(body).digest === revision.digest))
    // a revision that was in force before needs no approval; this one would be in force for the first time
    await deps.approvals?.require(revision);
  return commitActivation(deps, head, {
    revisionNumber: revision.body.number,
    revisionDigest: revision.digest,
    author: caller.id,
    reason: options.reason,
    rollbackOf: target.rollbackOf,
    forced: false,
    thresholdPercent: 0,
    rollout: undefined,
  });
}

function refusal(
  why: "nothing_active" | "nothing_before" | "already_active" | "unknown_revision",
  active: number | undefined,
  to: number | undefined,
  published: number,
): AshlarError {
  switch (why) {
    case "nothing_active":
      return new AshlarError("stale", "nothing to roll back: no revision has been activated yet");
    case "nothing_before":
      return new AshlarError(
        "stale",
        `nothing to roll back to: no revision was active before revision ${active}; name one with --to`,
      );
    case "already_active":
      return new AshlarError("stale", `revision ${to} is active already`);
    case "unknown_revision":
      return new AshlarError("not_found", `there is no revision ${to}; the newest is ${published}`);
    default:
      return unreachable(why);
  }
}
