/**
 * Predicts which calls a rollout's candidate will refuse, from decisions that were recorded before the rollout began.
 */
import type { DecisionBatch } from "../../core/decision/decision-record.js";
import { predictRefusals } from "../../core/decision/predict-refusals.js";
import { arrivesAs } from "../../core/decision/redecide.js";
import type { ReplaySides } from "../../core/decision/replay.js";
import type { Digest } from "../../core/digest.js";
import { messageOf } from "../../core/errors.js";
import type { Signed } from "../../core/model.js";
import { compileUnit } from "../../core/policy/compile.js";
import { type AffectedCalls, isJudged } from "../../core/rollout/affected-calls.js";
import type { Rollout } from "../../core/rollout/rollout-model.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { DecisionReader } from "../decisions/decision-reader.js";
import type { SnapshotStore } from "../publish/snapshot-store.js";
import type { Ledger } from "../store/ledger.js";

export interface RefusalPredictionsDeps {
  readonly mesh: string;
  readonly ledger: Pick<Ledger, "revisions">;
  readonly snapshots: Pick<SnapshotStore, "loadUnit">;
  readonly decisions: Pick<DecisionReader, "list">;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly log: Logger;
}

export interface RefusalPredictions {
  /**
   * Makes the prediction for a plan, once. Resolves after a few seconds at most, whatever it found, and never fails.
   * What could not be read is tried again at the next call.
   */
  prepare(plan: Signed<Rollout>, signal?: AbortSignal): Promise<void>;
  /**
   * Returns the expected share of refusals among a service's calls, 0 to 1; undefined: there is no prediction.
   * Predictions from few decisions, or from fewer than could not be decided, are dropped.
   */
  of(plan: Signed<Rollout>): PredictedShare | undefined;
}

/** `about`: only these calls, as in a stage's evidence; undefined: all calls of the service. */
export type PredictedShare = (service: string, about?: AffectedCalls) => number | undefined;

/**
 * Windows in milliseconds. Recent decisions predict better, so the longer window is read only if the shorter one has
 * few.
 */
const windowsMs = [300_000, 3_600_000] as const;
const decisionsEnough = 1000;
/** The most decisions that are kept, of all services together. */
const decisionsMax = 10_000;
const readMsMax = 5000;
/** The least number of a service's decisions that gives a prediction. */
const samplesMin = 20;

type Batches = Map<string, DecisionBatch[]>;
/** The recorded decisions by service, with the policy that decides them again. */
type Recorded = ReadonlyMap<string, { readonly batches: readonly DecisionBatch[]; readonly sides: ReplaySides }>;

export function createRefusalPredictions(deps: RefusalPredictionsDeps): RefusalPredictions {
  let made: { readonly digest: string; readonly share: PredictedShare } | undefined;
  return {
    async prepare(plan, signal) {
      if (made?.digest === plan.digest) return;
      try {
        const recorded = await readRecorded(deps, plan.body, signal);
        made = { digest: plan.digest, share: sharesOf(recorded, deps.mesh) };
        deps.log.info("predicted refusals", { rollout: plan.body.number, services: recorded.size });
      } catch (error) {
        if (signal?.aborted) return;
        deps.log.warn("refusals cannot be predicted", { rollout: plan.body.number, why: messageOf(error) });
      }
    },
    of: (plan) => (made?.digest === plan.digest ? made.share : undefined),
  };
}

/** Computes each share once, because it is asked for at every look at a stage. */
function sharesOf(recorded: Recorded, mesh: string): PredictedShare {
  const known = new Map<string, number | undefined>();
  return (service, about) => {
    const key = JSON.stringify([service, about]);
    if (known.has(key)) return known.get(key);
    const found = recorded.get(service);
    const share =
      found &&
      shareOf(
        found.batches.map((batch) => selectAbout(batch, about, found.sides, mesh)),
        found.sides,
      );
    known.set(key, share);
    return share;
  };
}

function shareOf(batches: readonly DecisionBatch[], sides: ReplaySides): number | undefined {
  const { share, samples, undecidable } = predictRefusals(batches, sides);
  return samples >= samplesMin && samples >= undecidable ? share : undefined;
}

/**
 * Selects the calls that also count in a stage's evidence: those that the candidate judges under a method that the
 * rollout affects. Counted refusals count under the method that arrived; those without a caller or method cannot be
 * attributed.
 */
function selectAbout(
  batch: DecisionBatch,
  about: AffectedCalls | undefined,
  { candidate }: ReplaySides,
  mesh: string,
): DecisionBatch {
  if (about === undefined) return batch;
  const { service } = batch;
  const unit = candidate(service);
  const isAbout = (caller: string, method: string): boolean =>
    method !== "" && isJudged(about, { service, caller: callerName(caller, mesh), method });
  return {
    ...batch,
    decisions: batch.decisions.filter((one) => isAbout(one.caller, arrivesAs(one, unit))),
    counted: batch.counted.filter(({ caller, method }) => isAbout(caller, method)),
  };
}

/** Returns the service of this mesh that an ID names; undefined: the ID is of another mesh or malformed. */
function callerName(caller: string, mesh: string): string | undefined {
  const prefix = `spiffe://${mesh}/service/`;
  return caller.startsWith(prefix) ? caller.slice(prefix.length) : undefined;
}

async function readRecorded(
  deps: RefusalPredictionsDeps,
  { candidate, base, timeMs }: Rollout,
  signal: AbortSignal | undefined,
): Promise<Recorded> {
  const recorded = new Map<string, { batches: readonly DecisionBatch[]; sides: ReplaySides }>();
  const revision = deps.ledger.revisions.find(candidate.number);
  if (revision?.digest !== candidate.digest) return recorded;
  const before = deps.ledger.revisions.find(base.number);
  for (const [service, batches] of await readBefore(deps, timeMs, signal)) {
    const load = async (snapshot: Digest) => {
      const unit = await deps.snapshots.loadUnit(snapshot, service);
      return unit && compileUnit(unit, deps.mesh);
    };
    const compiled = await load(revision.body.snapshot);
    const own = before && (await load(before.body.snapshot));
    const sides: ReplaySides = {
      candidate: () => compiled,
      own: (number) => (number === before?.body.number ? () => own : undefined), // for limits that are unchanged
    };
    recorded.set(service, { batches, sides });
  }
  return recorded;
}

/** Reads decisions of before `untilMs` by service, because the candidate's own refusals must not count. */
async function readBefore(
  { decisions, clock }: RefusalPredictionsDeps,
  untilMs: number,
  signal: AbortSignal | undefined,
): Promise<Batches> {
  const endMs = clock.monotonicMs() + readMsMax;
  let found: Batches = new Map();
  for (const windowMs of windowsMs) {
    found = new Map();
    let read = 0;
    for await (const batch of decisions.list(Math.max(1, untilMs - windowMs), signal)) {
      const before = selectBefore(batch, untilMs, decisionsMax - read);
      const size = before.decisions.length + before.counted.length;
      if (size > 0) {
        read += size;
        const known = found.get(batch.service);
        if (known === undefined) found.set(batch.service, [before]);
        else known.push(before);
      }
      if (read >= decisionsMax || clock.monotonicMs() >= endMs) return found;
    }
    if (read >= decisionsEnough) return found;
  }
  return found;
}

function selectBefore(batch: DecisionBatch, untilMs: number, max: number): DecisionBatch {
  const isInbound = ({ direction, timeMs }: DecisionBatch["decisions"][number]) =>
    direction !== "outbound" && direction !== "edge" && timeMs < untilMs;
  const decisions = batch.decisions.filter(isInbound).slice(0, max);
  const counted = batch.counted.filter((count) => count.untilMs <= untilMs).slice(0, max - decisions.length);
  return { ...batch, decisions, counted };
}
