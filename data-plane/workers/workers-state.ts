/**
 * What the first process knows of its workers: which of them carry calls, what each still has to acknowledge, and by
 * which policy all of them judge (I7: a switch counts when every worker has acknowledged it). Pure.
 */
import type { Digest } from "../../core/digest.js";
import { unreachable } from "../../core/errors.js";

/** A task that a worker must acknowledge. */
export type Duty =
  | { readonly kind: "prepare"; readonly digest: Digest }
  | { readonly kind: "switch"; readonly epoch: number }
  | { readonly kind: "trust"; readonly sequence: number }
  | { readonly kind: "ping" };

export interface Waiting {
  readonly task: number;
  readonly duty: Duty;
  readonly sinceMs: number;
}

export interface WorkerState {
  /** "down": there is no process. "starting": the worker has not acknowledged its first state and gets no calls. */
  readonly phase: "down" | "starting" | "serving";
  /** True if the worker has been told its complete first state. */
  readonly briefed: boolean;
  readonly waiting: readonly Waiting[];
  /** The epoch that the worker said it judges by. 0: none. */
  readonly epoch: number;
  /** The number of the trust record that the worker said it uses. */
  readonly trust: number;
}

export interface WorkersState {
  readonly workers: readonly WorkerState[];
  /** The epoch that all workers that carry calls judge by. 0: none, or no worker carries calls. */
  readonly epoch: number;
  /** Revisions that some workers have not compiled yet, with the problem if one failed. */
  readonly preparing: ReadonlyMap<Digest, string | undefined>;
}

export type WorkersEvent =
  | { readonly kind: "spawned"; readonly worker: number; readonly nowMs: number }
  | {
      readonly kind: "told";
      readonly worker: number;
      readonly task: number;
      readonly duty: Duty;
      readonly nowMs: number;
    }
  /** The worker was sent its first state. */
  | { readonly kind: "briefed"; readonly worker: number }
  | {
      readonly kind: "done";
      readonly worker: number;
      readonly task: number;
      readonly problem: string | undefined;
    }
  /** Every worker that must compile this revision was told. */
  | { readonly kind: "prepare"; readonly digest: Digest }
  | { readonly kind: "exited"; readonly worker: number }
  /** Time passes. `lostMs`: how long since the last tick the first process did not read messages. */
  | { readonly kind: "tick"; readonly nowMs: number; readonly lostMs: number };

export type WorkersEffect =
  /** Lets the worker get calls from now on. */
  | { readonly kind: "serving"; readonly worker: number }
  /** Kills a worker that does not answer or cannot perform its task. A new one replaces it. */
  | { readonly kind: "kill"; readonly worker: number; readonly why: string }
  /** Reports that no worker needs to compile the revision any more. */
  | { readonly kind: "prepared"; readonly digest: Digest; readonly problem: string | undefined }
  /** Reports that all workers that carry calls judge by this epoch or a later one. 0: none judges. */
  | { readonly kind: "evaluating"; readonly epoch: number };

export interface WorkersStep {
  readonly state: WorkersState;
  readonly effects: readonly WorkersEffect[];
}

/** How long a worker may take for each duty before it is killed and replaced, in milliseconds. */
export const boundsMs: Readonly<Record<Duty["kind"], number>> = {
  prepare: 30_000,
  switch: 5000,
  trust: 5000,
  ping: 10_000,
};
const startMsMax = 60_000;
/** A worker that has not answered for this time gets new connections only if all workers are late, in milliseconds. */
const lateMs = 1500;

const down: WorkerState = { phase: "down", briefed: false, waiting: [], epoch: 0, trust: 0 };
/**
 * Stands in for a task while the worker's greeting is awaited, so that a worker that never sends anything is replaced
 * too.
 */
const greeting = -1;

export function startWorkers(count: number): WorkersState {
  return { workers: Array.from({ length: count }, () => down), epoch: 0, preparing: new Map() };
}

/** Makes one step. Events about a process that is gone change nothing. */
export function step(state: WorkersState, event: WorkersEvent): WorkersStep {
  switch (event.kind) {
    case "spawned": {
      const waiting = [{ task: greeting, duty: { kind: "ping" } as const, sinceMs: event.nowMs }];
      return settle(state, event.worker, { ...down, phase: "starting", waiting }, []);
    }
    case "told":
      return change(state, event.worker, (worker) => {
        const { task, duty, nowMs } = event;
        return { ...worker, waiting: [...worker.waiting, { task, duty, sinceMs: nowMs }] };
      });
    case "briefed":
      return change(state, event.worker, (worker) => ({
        ...worker,
        briefed: true,
        waiting: worker.waiting.filter(({ task }) => task !== greeting),
      }));
    case "done":
      return takeDone(state, event.worker, event.task, event.problem);
    case "prepare":
      return finishPreparing({ ...state, preparing: new Map(state.preparing).set(event.digest, undefined) }, []);
    case "exited":
      return settle(state, event.worker, down, []);
    case "tick": {
      const now = event.lostMs === 0 ? state : forgive(state, event.lostMs);
      return { state: now, effects: overdue(now, event.nowMs) };
    }
    default:
      return unreachable(event);
  }
}

/** Returns whether a worker that carries calls has been silent for longer than is usual. */
function isLate(worker: WorkerState, nowMs: number): boolean {
  return worker.waiting.some(({ duty, sinceMs }) => duty.kind !== "prepare" && nowMs - sinceMs > lateMs);
}

/** Returns those of `serving` that are not late, or all of them if all are. */
export function promptOf({ workers }: WorkersState, serving: readonly number[], nowMs: number): readonly number[] {
  const prompt = serving.filter((worker) => !workers.some((one, at) => at === worker && isLate(one, nowMs)));
  return prompt.length > 0 ? prompt : serving;
}

/** Returns the trust record that all workers that carry calls use. undefined: no worker carries calls. */
export function trustOf({ workers }: WorkersState): number | undefined {
  const serving = workers.filter(({ phase }) => phase === "serving");
  return serving.length === 0 ? undefined : Math.min(...serving.map(({ trust }) => trust));
}

function change(state: WorkersState, index: number, how: (worker: WorkerState) => WorkerState): WorkersStep {
  const worker = state.workers[index];
  if (worker === undefined || worker.phase === "down") return { state, effects: [] };
  return settle(state, index, how(worker), []);
}

function takeDone(state: WorkersState, index: number, task: number, problem: string | undefined): WorkersStep {
  const worker = state.workers[index];
  const done = worker?.waiting.find((one) => one.task === task);
  if (worker === undefined || done === undefined) return { state, effects: [] };
  const waiting = worker.waiting.filter((one) => one !== done);
  const { duty } = done;
  if (problem === undefined) return settle(state, index, fulfilled({ ...worker, waiting }, duty), []);
  // The worker keeps its former state; a starting worker can never become complete.
  if (duty.kind !== "prepare" || worker.phase === "starting")
    return { state, effects: [{ kind: "kill", worker: index, why: problem }] };
  const preparing = state.preparing.has(duty.digest)
    ? new Map(state.preparing).set(duty.digest, problem)
    : state.preparing;
  return settle({ ...state, preparing }, index, { ...worker, waiting }, []);
}

function fulfilled(worker: WorkerState, duty: Duty): WorkerState {
  switch (duty.kind) {
    case "switch":
      return { ...worker, epoch: Math.max(worker.epoch, duty.epoch) };
    case "trust":
      return { ...worker, trust: Math.max(worker.trust, duty.sequence) };
    case "prepare":
    case "ping":
      return worker;
    default:
      return unreachable(duty);
  }
}

/** Stores a worker's new state and derives what follows for all workers. */
function settle(state: WorkersState, index: number, next: WorkerState, effects: readonly WorkersEffect[]): WorkersStep {
  const isReady = next.phase === "starting" && next.briefed && next.waiting.length === 0;
  const worker: WorkerState = isReady ? { ...next, phase: "serving" } : next;
  const workers = state.workers.map((one, place) => (place === index ? worker : one));
  const serving: readonly WorkersEffect[] = isReady ? [{ kind: "serving", worker: index }] : [];
  return finishPreparing({ ...state, workers }, [...effects, ...serving]);
}

function finishPreparing(state: WorkersState, effects: readonly WorkersEffect[]): WorkersStep {
  const all = [...effects];
  const preparing = new Map(state.preparing);
  for (const [digest, problem] of state.preparing) {
    const isOpen = state.workers.some(({ waiting }) =>
      waiting.some(({ duty }) => duty.kind === "prepare" && duty.digest === digest),
    );
    if (isOpen) continue;
    preparing.delete(digest);
    all.push({ kind: "prepared", digest, problem });
  }
  const serving = state.workers.filter(({ phase }) => phase === "serving");
  const epoch = serving.length === 0 ? 0 : Math.min(...serving.map((worker) => worker.epoch));
  if (epoch !== state.epoch) all.push({ kind: "evaluating", epoch });
  return { state: { ...state, preparing, epoch }, effects: all };
}

/** Extends the workers' deadlines by `lostMs`, because their answers may lie unread. */
function forgive(state: WorkersState, lostMs: number): WorkersState {
  const later = (one: Waiting): Waiting => ({ ...one, sinceMs: one.sinceMs + lostMs });
  return { ...state, workers: state.workers.map((worker) => ({ ...worker, waiting: worker.waiting.map(later) })) };
}

function overdue({ workers }: WorkersState, nowMs: number): readonly WorkersEffect[] {
  return workers.flatMap(({ waiting }, worker): readonly WorkersEffect[] => {
    const late = waiting.find(({ task, duty, sinceMs }) => {
      return nowMs - sinceMs > (task === greeting ? startMsMax : boundsMs[duty.kind]);
    });
    if (late === undefined) return [];
    const what = late.task === greeting ? "start" : late.duty.kind;
    return [{ kind: "kill", worker, why: `no answer to ${what} within ${Math.round(nowMs - late.sinceMs)} ms` }];
  });
}
