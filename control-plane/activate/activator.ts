/** Makes a revision the active one: waits for the fleet to prepare it, then commits. */
import { AshlarError } from "../../core/errors.js";
import type { Activation, Revision, Signed } from "../../core/model.js";
import { isUnderway } from "../../core/rollout/cohort.js";
import { isKeptPrepared, keptOfEachMax } from "../../core/rollout/kept-revisions.js";
import type { Clock } from "../../runtime/clock.js";
import { audited } from "../audit/audit-trail.js";
import { type FleetEntry, isPrepared, rejectionOf } from "../fleet/fleet-state.js";
import { waitForFleet } from "../fleet/fleet-wait.js";
import { beginRollout, checkMayBegin } from "../rollout/begin-rollout.js";
import { findRevision } from "../store/find-revision.js";
import type { ActivateOptions, ActivatorDeps } from "./activate-options.js";
import { commitActivation } from "./commit.js";
import type { OperatorCaller } from "./operator-caller.js";
import type { PrepareOrders } from "./prepare-orders.js";

export interface Activated {
  readonly activation: Signed<Activation>;
  /** False: the revision was active already, and nothing was appended. */
  readonly created: boolean;
  /** Milliseconds from the request to the commit. */
  readonly tookMs: number;
}

export const waitTimeoutMsDefault = 30_000;
const waitTimeoutMsMax = 3_600_000;

export interface Activator {
  /**
   * Activates a revision once the required share of live proxies has prepared it. With stages, it resolves when the
   * first one is committed. Stops waiting when `signal` aborts. Fails with `not_found`; with `denied` if approvals are
   * missing, even with `force`; with `stale`, naming the proxies that rejected the revision or did not prepare in time,
   * or because a rollout runs; with `conflict` if somebody else activated meanwhile; and with `invalid_argument`.
   */
  activate(options: ActivateOptions, caller: OperatorCaller, signal?: AbortSignal): Promise<Activated>;
}

export interface PreparingDeps extends ActivatorDeps {
  /** Asks proxies to prepare the revision that is to be activated. */
  readonly orders: PrepareOrders;
}

export function createActivator(deps: PreparingDeps): Activator {
  return {
    activate: (options, caller, signal) =>
      audited(
        deps.audit,
        {
          action: options.staged === undefined ? "activate" : "rollout",
          target: `revision ${options.revision}`,
          caller,
          detail: options.reason,
        },
        () => activate(deps, options, caller, signal),
        ({ activation, created }) => ({
          detail: `${created ? `epoch ${activation.body.epoch}${renderRollout(activation)}` : "already active"}${options.force ? ", forced" : ""}${renderReason(options.reason)}`,
        }),
      ),
  };
}

async function activate(
  deps: PreparingDeps,
  options: ActivateOptions,
  caller: OperatorCaller,
  signal: AbortSignal | undefined,
): Promise<Activated> {
  const startMs = deps.clock.monotonicMs();
  const timeoutMs = options.prepareTimeoutMs === 0 ? waitTimeoutMsDefault : options.prepareTimeoutMs;
  checkBounds(options, timeoutMs);
  const revision = findRevision(deps.ledger, options.revision);
  const head = deps.ledger.activations.head();
  checkExpected(head, options.expectedEpoch);
  checkMayBegin(head, options);
  // also with `force`: without its journal, no write of a service would be forwarded
  await deps.journals?.forRevision(revision);
  if (head?.body.revisionDigest === revision.digest && !isUnderway(head.body)) {
    return { activation: head, created: false, tookMs: sinceMs(deps.clock, startMs) };
  }
  await deps.approvals?.require(revision);
  await deps.beforeSigning?.(signal);
  if (!options.force) await waitUntilPrepared(deps, revision, options.thresholdPercent, timeoutMs, signal);
  const { staged } = options;
  if (staged !== undefined) {
    const activation = await beginRollout(deps, head, revision, { ...options, staged }, caller);
    return { activation, created: true, tookMs: sinceMs(deps.clock, startMs) };
  }
  const activation = await commitActivation(deps, head, {
    revisionNumber: revision.body.number,
    revisionDigest: revision.digest,
    author: caller.id,
    reason: options.reason,
    rollbackOf: undefined,
    forced: options.force,
    thresholdPercent: options.thresholdPercent,
    rollout: undefined,
  });
  return { activation, created: true, tookMs: sinceMs(deps.clock, startMs) };
}

function checkExpected(head: Signed<Activation> | undefined, expected: number | undefined): void {
  const epoch = head?.body.epoch ?? 0;
  if (expected === undefined || expected === epoch) return;
  throw new AshlarError(
    "conflict",
    `somebody else was first: the activation log is at epoch ${epoch}, not ${expected}; look again and repeat`,
  );
}

function renderRollout({ body }: Signed<Activation>): string {
  return body.rollout === undefined ? "" : `, rollout ${body.rollout.number}, stage ${body.rollout.stage}`;
}

async function waitUntilPrepared(
  deps: PreparingDeps,
  revision: Signed<Revision>,
  thresholdPercent: number,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { number } = revision.body;
  const over = new AbortController();
  const asking = deps.orders.ask(revision, over.signal);
  const { outcome, missing } = await waitForFleet(deps.fleet, deps.clock, {
    isThere: ({ heartbeat }) => isPrepared(heartbeat, revision.digest),
    isHopeless: ({ heartbeat }) => rejectionOf(heartbeat, revision.digest) !== undefined,
    percent: thresholdPercent === 0 ? 100 : thresholdPercent,
    timeoutMs,
    ...(signal && { signal }),
  }).finally(() => over.abort());
  await asking;
  if (outcome === "met") return;
  if (outcome === "stopped")
    throw new AshlarError("unavailable", `revision ${number} was not activated: the caller left`);
  const rejected = missing.filter(({ heartbeat }) => rejectionOf(heartbeat, revision.digest) !== undefined);
  if (outcome === "hopeless") {
    const why = renderSome(rejected, ({ heartbeat }) => `${nameOf(heartbeat)}: ${heartbeat.rejected?.reason}`);
    throw new AshlarError(
      "stale",
      `revision ${number} was not activated: rejected by ${why}; publish a corrected one, or use --force`,
    );
  }
  const who = renderSome(missing, ({ heartbeat }) => {
    const reason = rejectionOf(heartbeat, revision.digest);
    return reason === undefined ? nameOf(heartbeat) : `${nameOf(heartbeat)} (rejected: ${reason})`;
  });
  const total = deps.fleet.live().length;
  throw new AshlarError(
    "stale",
    `revision ${number} was not activated: after ${timeoutMs} ms, ${missing.length} of ${total} live proxies have not prepared it: ${who}; ${whatToDo(deps, revision)}`,
  );
}

function whatToDo({ ledger }: ActivatorDeps, { digest, body }: Signed<Revision>): string {
  const otherwise = "wait, or use --threshold or --force";
  if (isKeptPrepared(digest, ledger.revisions.list(), ledger.activations.list())) return otherwise;
  return `proxies of an earlier version hold the ${keptOfEachMax} newest revisions and the ${keptOfEachMax} last active ones only and cannot be asked for others: update them, ${otherwise}, or \`ashlar rollback --to ${body.number}\``;
}

function checkBounds(options: ActivateOptions, timeoutMs: number): void {
  const { thresholdPercent } = options;
  if (!Number.isInteger(thresholdPercent) || thresholdPercent < 0 || thresholdPercent > 100) {
    throw new AshlarError("invalid_argument", `threshold_percent: expected 0 to 100, got ${thresholdPercent}`);
  }
  checkTimeout("prepare_timeout_ms", timeoutMs);
}

export function checkTimeout(field: string, timeoutMs: number): void {
  if (Number.isSafeInteger(timeoutMs) && timeoutMs > 0 && timeoutMs <= waitTimeoutMsMax) return;
  throw new AshlarError("invalid_argument", `${field}: expected 1 to ${waitTimeoutMsMax}, got ${timeoutMs}`);
}

export function sinceMs(clock: Clock, startMs: number): number {
  return Math.max(0, Math.round(clock.monotonicMs() - startMs));
}

export function renderReason(reason: string): string {
  return reason === "" ? "" : `: ${reason}`;
}

function nameOf(heartbeat: { readonly proxyId: string; readonly service: string }): string {
  return `${heartbeat.proxyId} (${heartbeat.service})`;
}

const namedMax = 10;

function renderSome(entries: readonly FleetEntry[], render: (entry: FleetEntry) => string): string {
  const named = entries.slice(0, namedMax).map(render).join(", ");
  return entries.length > namedMax ? `${named} and ${entries.length - namedMax} more` : named;
}
