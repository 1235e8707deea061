/**
 * What a proxy knows of the logs and how it reacts: a pure state machine (docs/ARCHITECTURE.md, "The flow", 5 to 7).
 * Every record that it gets has been verified. `seenEpoch` and the trust sequence are on disk before the proxy acts on
 * them, and they never decrease (I2). The evaluated policy is always a prepared revision, and status reports that one
 * (I7).
 */
import type { Digest } from "../../core/digest.js";
import { unreachable } from "../../core/errors.js";
import type { Activation, Freshness, PreparedRevision, Revision, Signed, Trust } from "../../core/model.js";
import { revisionFor, revisionsOf } from "../../core/rollout/cohort.js";
import { activationLaw, trustLaw } from "./chain-laws.js";
import {
  type Chain,
  emptyChain,
  headDigests,
  headOf,
  type KeyRange,
  keyOfChain,
  missingFrom,
  offer,
  refuseUnlinked,
  startChain,
} from "./chain-state.js";
import type { ChainName, Floor, Refusal, SyncEffect, SyncEvent, SyncStart, SyncState, SyncStep } from "./sync-model.js";
import { noteActive, noteOrdered, notePublished, preparedMax, wantedRevisions } from "./sync-plan.js";
import { equivocationMessage } from "./sync-problems.js";

const nothingSaved: Floor = { epoch: 0, sequence: 0, digests: [] };

/** Makes the first step. The last good revision is evaluated until the head's revision is prepared. */
export function startSync(start: SyncStart): SyncStep {
  const { proxyId } = start;
  const state: SyncState = {
    proxyId,
    activations: start.activations.length > 0 ? startChain(start.activations) : emptyChain,
    trust: start.trust.length > 0 ? startChain(start.trust) : emptyChain,
    saved: nothingSaved,
    saving: false,
    trusting: start.trusting,
    evaluating:
      start.evaluating && isHeld(start, revisionFor(start.evaluating.body, proxyId)) ? start.evaluating : undefined,
    prepared: start.prepared,
    preparing: [],
    failed: [],
    rejected: [],
    history: start.activations.reduce((history, { body }) => noteActive(history, body), [...start.history]),
    ordered: [],
    published: start.prepared.reduce(notePublished, []),
    reading: {},
    freshness: undefined,
  };
  return settle(start.onDisk ? { ...state, saved: floorOf(state) } : state, []);
}

/** Returns the highest epoch that was verified (I2). */
export function seenEpochOf(state: SyncState): number {
  return keyOfChain(state.activations, activationLaw);
}

export function trustSequenceOf(state: SyncState): number {
  return keyOfChain(state.trust, trustLaw);
}

/** Returns the lowest key of a log's records that wait for earlier ones. undefined: none waits. */
export function waitingAt(state: SyncState, log: ChainName): number | undefined {
  return log === "trust" ? state.trust.waiting[0]?.body.sequence : state.activations.waiting[0]?.body.epoch;
}

/** Returns the present heads, as they are written to disk. */
export function floorOf(state: SyncState): Floor {
  return {
    epoch: seenEpochOf(state),
    sequence: trustSequenceOf(state),
    digests: [...headDigests(state.activations), ...headDigests(state.trust)],
  };
}

/** Handles one event. */
export function step(state: SyncState, event: SyncEvent): SyncStep {
  switch (event.kind) {
    case "revision":
      return takeRevision(state, event.record);
    case "activation":
      return takeActivation(state, event.record);
    case "trust":
      return takeTrust(state, event.record);
    case "freshness":
      return takeFreshness(state, event.freshness);
    case "ordered":
      return settle({ ...state, ordered: noteOrdered(state.ordered, event.revision) }, [{ kind: "report" }]);
    case "orders-over":
      return state.ordered.length === 0 ? { state, effects: [] } : settle({ ...state, ordered: [] }, []);
    case "range-read":
      return takeRange(state, event.log, event.range);
    case "floor-saved":
      return settle({ ...state, saved: event.floor, saving: false }, []);
    case "floor-failed":
      return { state: { ...state, saving: false }, effects: [] }; // retried at the next `retry`
    case "prepared":
      return takePrepared(state, event.revision);
    case "rejected":
      return takeRejection(state, { ...event.rejection, final: event.final });
    case "prepare-failed":
      return settle(failedToPrepare(state, event.digest), []);
    case "epoch-hint":
      return { state, effects: event.epoch > seenEpochOf(state) ? [{ kind: "read-head", log: "activations" }] : [] };
    case "retry":
      return settle({ ...state, failed: [], reading: {} }, []);
    default:
      return unreachable(event);
  }
}

// === What comes in ===

function takeRevision(state: SyncState, record: Signed<Revision>): SyncStep {
  const revision = { number: record.body.number, digest: record.digest };
  const rival = state.published.some((one) => one.number === revision.number && one.digest !== revision.digest);
  const published = notePublished(state.published, revision);
  if (published === state.published) return { state, effects: [] };
  return settle(
    { ...state, published },
    rival
      ? [{ kind: "alarm", message: `two revisions are numbered ${revision.number}: the log forks (equivocation)` }]
      : [],
  );
}

function takeActivation(state: SyncState, record: Signed<Activation>): SyncStep {
  const { chain, adopted } = offer(state.activations, record, activationLaw);
  const history = adopted.reduce((list, { body }) => noteActive(list, body), [...state.history]);
  const alarms = rivalAlarm(state.activations, chain, equivocationMessage("activation", "epoch", record.body.epoch));
  return settle({ ...state, activations: chain, history }, alarms);
}

function takeTrust(state: SyncState, record: Signed<Trust>): SyncStep {
  const { chain } = offer(state.trust, record, trustLaw);
  const alarms = rivalAlarm(state.trust, chain, equivocationMessage("trust", "sequence", record.body.sequence));
  return settle({ ...state, trust: chain }, alarms);
}

function takeFreshness(state: SyncState, freshness: Freshness): SyncStep {
  const effects: SyncEffect[] = [];
  const epoch = seenEpochOf(state);
  const rival =
    freshness.epoch === epoch &&
    epoch > 0 &&
    !state.activations.heads.some((one) => one.digest === freshness.activation);
  if (freshness.epoch > epoch) effects.push({ kind: "read-head", log: "activations" });
  if (rival) effects.push({ kind: "read-range", log: "activations", range: { from: epoch, to: epoch } });
  if (freshness.trustSequence > trustSequenceOf(state)) effects.push({ kind: "read-head", log: "trust" });
  if (freshness.revisionNumber > (state.published[0]?.number ?? 0))
    effects.push({ kind: "read-head", log: "revisions" });
  return { state: { ...state, freshness }, effects };
}

function takeRange(state: SyncState, log: ChainName, range: KeyRange): SyncStep {
  const refused: SyncEffect[] = [];
  const refuse = (what: string): void => {
    refused.push({ kind: "alarm", message: `${what} is refused: it names no record of the log before it` });
  };
  let next = state;
  if (log === "activations") {
    const after = refuseUnlinked(state.activations, range.to, activationLaw);
    for (const record of after.refused) refuse(`the activation of epoch ${record.body.epoch}`);
    next = { ...state, activations: after.chain };
  } else {
    const after = refuseUnlinked(state.trust, range.to, trustLaw);
    for (const record of after.refused) refuse(`trust record ${record.body.sequence}`);
    next = { ...state, trust: after.chain };
  }
  const [chain, reached] =
    log === "activations" ? [next.activations, seenEpochOf(next)] : [next.trust, trustSequenceOf(next)];
  // a range that brought nothing stays marked, so that it is not read again and again until the next retry
  const fruitless = chain.waiting.length > 0 && reached < range.to;
  if (fruitless) return { state: next, effects: refused };
  const { [log]: _done, ...reading } = next.reading;
  return settle({ ...next, reading }, refused);
}

function takePrepared(state: SyncState, revision: PreparedRevision): SyncStep {
  const prepared = [revision, ...state.prepared.filter((one) => one.digest !== revision.digest)];
  const preparing = state.preparing.filter((one) => one !== revision.digest);
  const rejected = state.rejected.filter((one) => one.digest !== revision.digest);
  return settle({ ...state, prepared, preparing, rejected }, [{ kind: "report" }]);
}

function takeRejection(state: SyncState, refusal: Refusal): SyncStep {
  const known = state.rejected.find((one) => one.digest === refusal.digest);
  const rejected = [refusal, ...state.rejected.filter((one) => one !== known)].slice(0, 2 * preparedMax);
  const message = `revision ${refusal.number} is rejected: ${refusal.reason}`;
  const news: SyncEffect[] = known?.reason === refusal.reason ? [] : [{ kind: "alarm", message }, { kind: "report" }];
  return settle({ ...failedToPrepare(state, refusal.digest), rejected }, news);
}

/** Notes that preparing failed. The revision is not requested again before the next retry. */
function failedToPrepare(state: SyncState, digest: Digest): SyncState {
  const preparing = state.preparing.filter((one) => one !== digest);
  return { ...state, preparing, failed: [...state.failed, digest] };
}

// === What follows from the state ===

/** Performs everything that the state now allows, in the required order. */
function settle(state: SyncState, before: readonly SyncEffect[]): SyncStep {
  const effects: SyncEffect[] = [...before];
  let next = settleFloor(state, effects);
  next = settleTrust(next, effects);
  next = settleSwitch(next, effects);
  next = settleReading(next, effects);
  next = settlePrepared(next, effects);
  return { state: next, effects };
}

function settleFloor(state: SyncState, effects: SyncEffect[]): SyncState {
  const floor = floorOf(state);
  if (state.saving || floor.digests.join() === state.saved.digests.join()) return state;
  effects.push({ kind: "save-floor", floor, activations: state.activations.heads, trust: state.trust.heads });
  return { ...state, saving: true };
}

function settleTrust(state: SyncState, effects: SyncEffect[]): SyncState {
  const head = headOf(state.trust);
  if (head === undefined || head.digest === state.trusting?.digest || !isSaved(state, head.digest)) return state;
  effects.push({ kind: "trust-changed", trust: head }, { kind: "report" });
  // what waits was signed by a key that may be dropped now; what leads on without it is read again
  const waiting = state.activations.waiting.filter(({ kid }) => head.body.signingKeys.some((key) => key.kid === kid));
  return { ...state, trusting: head, activations: { ...state.activations, waiting } };
}

/** Switches if the head is on disk and this proxy's revision is prepared. Otherwise the evaluated policy stays. */
function settleSwitch(state: SyncState, effects: SyncEffect[]): SyncState {
  const head = headOf(state.activations);
  if (head === undefined || head.digest === state.evaluating?.digest || !isSaved(state, head.digest)) return state;
  if (!isHeld(state, revisionFor(head.body, state.proxyId))) return state;
  effects.push({ kind: "switch", activation: head }, { kind: "report" });
  return { ...state, evaluating: head };
}

function settleReading(state: SyncState, effects: SyncEffect[]): SyncState {
  let reading = state.reading;
  const ask = (log: ChainName, range: KeyRange | undefined): void => {
    if (range === undefined || reading[log] !== undefined) return;
    effects.push({ kind: "read-range", log, range });
    reading = { ...reading, [log]: range };
  };
  ask("activations", missingFrom(state.activations, activationLaw));
  ask("trust", missingFrom(state.trust, trustLaw));
  return { ...state, reading };
}

function settlePrepared(state: SyncState, effects: SyncEffect[]): SyncState {
  const head = headOf(state.activations);
  const target = head && revisionFor(head.body, state.proxyId);
  const wanted = wantedRevisions({
    target,
    active: head === undefined ? [] : [...revisionsOf(head.body), ...shadowsOf(head.body)],
    evaluating: state.evaluating && revisionFor(state.evaluating.body, state.proxyId),
    ordered: state.ordered,
    history: state.history,
    published: state.published,
  });
  const kept = state.prepared.filter((one) => wanted.some((other) => other.digest === one.digest));
  for (const one of state.prepared) if (!kept.includes(one)) effects.push({ kind: "drop", digest: one.digest });
  const open = wanted.filter(
    ({ digest }) =>
      !kept.some((one) => one.digest === digest) &&
      !state.rejected.some((one) => one.final && one.digest === digest) &&
      !state.failed.includes(digest),
  );
  const preparing = [...state.preparing];
  for (const revision of open) {
    const urgent = revision.digest === target?.digest;
    if (preparing.includes(revision.digest)) continue;
    if (preparing.length >= (urgent ? 2 : 1)) continue; // an urgent request does not wait behind another one
    preparing.push(revision.digest);
    effects.push({ kind: "prepare", revision });
  }
  const failed = state.failed.filter((digest) => wanted.some((one) => one.digest === digest));
  return { ...state, prepared: kept, preparing, failed };
}

/** Returns the candidate that is evaluated beside the activation, if there is one. */
function shadowsOf({ shadow }: Activation): readonly PreparedRevision[] {
  return shadow === undefined ? [] : [{ number: shadow.number, digest: shadow.digest }];
}

function isSaved(state: SyncState, digest: Digest): boolean {
  return state.saved.digests.includes(digest);
}

function isHeld({ prepared }: Pick<SyncState, "prepared">, { digest }: PreparedRevision): boolean {
  return prepared.some((one) => one.digest === digest);
}

function rivalAlarm<Body>(before: Chain<Body>, after: Chain<Body>, message: string): SyncEffect[] {
  return after.heads.length > 1 && after.heads.length > before.heads.length ? [{ kind: "alarm", message }] : [];
}
