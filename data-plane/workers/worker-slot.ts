/** What the first process keeps about one worker, besides the state of the machine. */
import { Backoff } from "../../runtime/backoff.js";
import type { ListenerName } from "./messages.js";
import type { WorkerProcess } from "./worker-process.js";
import type { WorkerState } from "./workers-state.js";

export interface Slot {
  /** The worker's process. undefined: it is being restarted. */
  process: WorkerProcess | undefined;
  readonly backoff: Backoff;
  startedMs: number;
  pingedMs: number;
  restarts: number;
  /** How the worker's last process ended. undefined: none has ended. */
  lastEnd: string | undefined;
  /** The number of messages sent since the worker last showed that it reads. */
  unread: number;
  /** The number of the worker's questions without an answer. */
  questions: number;
  /** Callbacks by task. Each is called with the result, or with undefined if the worker ended first. */
  readonly requests: Map<number, (value: unknown) => void>;
  /** The number of open connections, by listener. */
  readonly connections: Map<ListenerName, number>;
}

const pingEveryMs = 1000;

/** Whether it is time to check that a worker is alive. */
export function isPingDue({ pingedMs }: Slot, state: WorkerState | undefined, nowMs: number): boolean {
  if (nowMs - pingedMs < pingEveryMs || state?.briefed !== true) return false;
  return !state.waiting.some(({ duty }) => duty.kind === "ping");
}

const restart = { msMin: 100, msMax: 10_000 };

export function newSlot(random: () => number): Slot {
  return {
    process: undefined,
    backoff: new Backoff(restart, random),
    startedMs: 0,
    pingedMs: 0,
    restarts: 0,
    lastEnd: undefined,
    unread: 0,
    questions: 0,
    requests: new Map(),
    connections: new Map(),
  };
}

/** Returns the one of `among` with the fewest connections of the listener, and of those the fewest of all. */
export function fewest(slots: readonly Slot[], among: readonly number[], listener: ListenerName): number | undefined {
  let [found, least, leastOfAll]: [number | undefined, number, number] = [undefined, 0, 0];
  for (const worker of among) {
    const connections = slots[worker]?.connections;
    const own = connections?.get(listener) ?? 0;
    const all = openOf(connections);
    if (found !== undefined && (own > least || (own === least && all >= leastOfAll))) continue;
    [found, least, leastOfAll] = [worker, own, all];
  }
  return found;
}

/** Returns the number of open connections over all listeners. */
export function openOf(connections: ReadonlyMap<ListenerName, number> | undefined): number {
  let open = 0;
  for (const count of connections?.values() ?? []) open += count;
  return open;
}

/** Returns a text that says what the end of a worker's process means. */
export function renderEnd(worker: { readonly briefed: boolean } | undefined): string {
  const what = worker?.briefed === true ? "ended: its calls are lost" : "ended while it started or warmed up";
  return `a worker ${what}, another one is started`;
}

/** Completes the request that a task belonged to, if there is one. */
export function settle(
  slot: Slot,
  { task, problem, value }: { readonly task: number; readonly problem: string | undefined; readonly value: unknown },
): void {
  slot.unread = 0;
  const resolve = slot.requests.get(task);
  slot.requests.delete(task);
  resolve?.(problem === undefined ? value : undefined);
}
