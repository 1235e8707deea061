/**
 * A candidate beside the active revision: operators begin and end it as an epoch, and its counts are summed from
 * heartbeats.
 */
import { AshlarError } from "../../core/errors.js";
import type { Activation, Heartbeat, Signed } from "../../core/model.js";
import { revisionInForce } from "../../core/rollout/cohort.js";
import {
  everyCallBasisPoints,
  type ShadowFlips,
  type ShadowOrder,
  shadowFlipsMax,
} from "../../core/shadow/shadow-model.js";
import type { ActivatorDeps } from "../activate/activate-options.js";
import { renderReason } from "../activate/activator.js";
import { commitActivation } from "../activate/commit.js";
import type { OperatorCaller } from "../activate/operator-caller.js";
import { audited } from "../audit/audit-trail.js";
import { stageHeadOf } from "../rollout/rollout-course.js";
import { findRevision } from "../store/find-revision.js";

/** What the live proxies of one service counted since the shadow began. */
export interface ShadowOfService {
  readonly service: string;
  /** The number of proxies that hold the candidate and evaluate it. */
  readonly running: number;
  /** The ids of the proxies that do not, sorted. */
  readonly missing: readonly string[];
  readonly same: number;
  readonly wouldDeny: number;
  readonly wouldAllow: number;
  readonly errors: number;
  /** The most frequent pairs first, at most 20. */
  readonly flips: readonly ShadowFlips[];
}

export interface ShadowReport {
  /** The activation that ordered it, which is the head; undefined: no shadow runs. */
  readonly head: (Signed<Activation> & { readonly body: { readonly shadow: ShadowOrder } }) | undefined;
  /** Sorted by name. */
  readonly services: readonly ShadowOfService[];
}

export interface Shadows {
  /**
   * Commits an epoch under which `revision` is evaluated beside the active one; a running shadow is replaced. Fails
   * with `not_found`; with `stale` if nothing or this very revision is active, or a rollout runs; with
   * `invalid_argument` for an invalid share; and with `conflict` if somebody else was first.
   */
  start(
    revision: number,
    shareBasisPoints: number,
    reason: string,
    caller: OperatorCaller,
  ): Promise<Signed<Activation>>;
  /** Commits an epoch without a shadow. Fails with `stale` if no shadow runs, and with `conflict` as `start` does. */
  stop(reason: string, caller: OperatorCaller): Promise<Signed<Activation>>;
  report(): ShadowReport;
}

export function createShadows(deps: ActivatorDeps): Shadows {
  const { ledger, fleet, audit } = deps;
  return {
    start: (revision, shareBasisPoints, reason, caller) =>
      audited(
        audit,
        { action: "shadow", target: `revision ${revision}`, caller, detail: reason },
        () => start(deps, revision, shareBasisPoints, reason, caller),
        ({ body }) => ({
          detail: `start, epoch ${body.epoch}, ${renderShare(shareBasisPoints)}${renderReason(reason)}`,
        }),
      ),
    stop: (reason, caller) =>
      audited(
        audit,
        { action: "shadow", target: "the shadow that runs", caller, detail: reason },
        () => stop(deps, reason, caller),
        ({ body }) => ({ detail: `stop, epoch ${body.epoch}${renderReason(reason)}` }),
      ),
    report() {
      const head = ledger.activations.head();
      if (head?.body.shadow === undefined) return { head: undefined, services: [] };
      const { shadow } = head.body;
      const beats = fleet.live().map(({ heartbeat }) => heartbeat);
      return { head: { ...head, body: { ...head.body, shadow } }, services: sumUp(beats, head.body.epoch, shadow) };
    },
  };
}

async function start(
  deps: ActivatorDeps,
  number: number,
  shareBasisPoints: number,
  reason: string,
  caller: OperatorCaller,
): Promise<Signed<Activation>> {
  if (!Number.isInteger(shareBasisPoints) || shareBasisPoints < 1 || shareBasisPoints > everyCallBasisPoints)
    throw new AshlarError("invalid_argument", "share: expected 0.0001 to 1, at most four digits after the point");
  const { body, digest } = findRevision(deps.ledger, number);
  const head = deps.ledger.activations.head();
  if (head === undefined) throw new AshlarError("stale", "nothing is active yet, so there is nothing to compare with");
  const running = stageHeadOf(head);
  if (running !== undefined)
    throw new AshlarError(
      "stale",
      `rollout ${running.body.rollout.number} runs, and its epochs say who evaluates what: wait for it, or end it with \`ashlar rollout abort\``,
    );
  if (revisionInForce(head.body).digest === digest)
    throw new AshlarError("stale", `revision ${number} is active: there is nothing to compare it with`);
  const shadow = { number: body.number, digest, shareBasisPoints };
  return commit(deps, head, shadow, `shadow of revision ${number}, ${renderShare(shareBasisPoints)}`, reason, caller);
}

async function stop(deps: ActivatorDeps, reason: string, caller: OperatorCaller): Promise<Signed<Activation>> {
  const head = deps.ledger.activations.head();
  if (head?.body.shadow === undefined) throw new AshlarError("stale", "no shadow runs, so there is nothing to stop");
  return commit(deps, head, undefined, `shadow of revision ${head.body.shadow.number} ends`, reason, caller);
}

/** Commits an epoch with the same revision. */
async function commit(
  deps: ActivatorDeps,
  head: Signed<Activation>,
  shadow: ShadowOrder | undefined,
  what: string,
  reason: string,
  { id }: OperatorCaller,
): Promise<Signed<Activation>> {
  await deps.beforeSigning?.();
  const { revisionNumber, revisionDigest } = head.body;
  return commitActivation(deps, head, {
    revisionNumber,
    revisionDigest,
    author: id,
    reason: `${what}${renderReason(reason)}`,
    rollbackOf: undefined,
    forced: false,
    thresholdPercent: 0,
    rollout: undefined,
    shadow,
  });
}

function sumUp(beats: readonly Heartbeat[], epoch: number, { digest }: ShadowOrder): readonly ShadowOfService[] {
  const names = [...new Set(beats.map(({ service }) => service))].sort();
  return names.map((service) => {
    const own = beats.filter((beat) => beat.service === service);
    const isRunning = ({ shadow }: Heartbeat): boolean => shadow?.epoch === epoch && shadow.digest === digest;
    const counts = own.filter(isRunning).flatMap(({ shadow }) => shadow ?? []);
    const sum = (of: "same" | "wouldDeny" | "wouldAllow" | "errors"): number =>
      counts.reduce((all, one) => all + one[of], 0);
    return {
      service,
      running: counts.length,
      missing: own
        .filter((beat) => !isRunning(beat))
        .map(({ proxyId }) => proxyId)
        .sort(),
      same: sum("same"),
      wouldDeny: sum("wouldDeny"),
      wouldAllow: sum("wouldAllow"),
      errors: sum("errors"),
      flips: mergeFlips(counts.flatMap(({ flips }) => flips)),
    };
  });
}

function mergeFlips(flips: readonly ShadowFlips[]): readonly ShadowFlips[] {
  const merged = new Map<string, ShadowFlips>();
  for (const flip of flips) {
    const key = `${flip.caller} ${flip.method}`;
    const { wouldDeny = 0, wouldAllow = 0 } = merged.get(key) ?? {};
    merged.set(key, { ...flip, wouldDeny: flip.wouldDeny + wouldDeny, wouldAllow: flip.wouldAllow + wouldAllow });
  }
  const size = ({ wouldDeny, wouldAllow }: ShadowFlips): number => wouldDeny + wouldAllow;
  return [...merged.values()].sort((a, b) => size(b) - size(a)).slice(0, shadowFlipsMax);
}

function renderShare(basisPoints: number): string {
  return `${basisPoints / 100} % of calls`;
}
