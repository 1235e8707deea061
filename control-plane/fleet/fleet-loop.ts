/** Keeps the fleet view up to date from heartbeats, and wakes those who wait for it to change. */

import { isAshlarError, messageOf } from "../../core/errors.js";
import type { Heartbeat } from "../../core/model.js";
import { parseHeartbeat } from "../../core/wire/fleet.js";
import { heartbeatSubject, parseFleetSubject } from "../../core/wire/subjects.js";
import type { Bus, BusMessage } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { StatementReader } from "../../runtime/statement-reader.js";
import { steadyTime } from "../../runtime/steady-time.js";
import { FleetLog } from "./fleet-log.js";
import type { FleetEntry, FleetState } from "./fleet-state.js";
import { type Arrival, type Unread, UnreadHeartbeats } from "./unread-heartbeats.js";

/** The fleet, for code that only reads it and waits for changes. */
export interface FleetView {
  list(): readonly FleetEntry[];
  live(): readonly FleetEntry[];
  /**
   * Calls `listener` with a proxy whose heartbeat changed something, and with undefined when proxies fell silent or
   * left, so that a reader who counts must look at all of them. Returns a function that removes the listener.
   */
  onChange(listener: (entry: FleetEntry | undefined) => void): () => void;
}

export interface FleetLoop extends FleetView {
  /** Receives a heartbeat. It counts if its proxy signed it. */
  hear(message: BusMessage): void;
  /** Returns the proxies whose heartbeats do not count because their clock, or this one, is far off; one line each. */
  clockProblems(): readonly string[];
  /** Looks up again which certificates are revoked. */
  trustChanged(): void;
  close(): void;
}

export interface FleetLoopDeps {
  readonly state: FleetState;
  readonly bus: Pick<Bus, "subscribe">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly reader: Pick<StatementReader, "hear" | "revocationOf">;
}

const queuedMax = 40_000; // room for two heartbeats from every proxy at once
const sweepMs = 1000;
const warnEveryMs = 10_000;

/** Starts to listen; runs until `close`. */
export function runFleetLoop(deps: FleetLoopDeps): FleetLoop {
  const { state, clock, log, reader } = deps;
  const listeners = new Set<(entry: FleetEntry | undefined) => void>();
  const stop = new AbortController();
  const steadyMs = steadyTime(clock); // setting the clock must neither make a proxy silent nor keep one alive
  const unread = new UnreadHeartbeats(state.liveMs, (proxyId, nowMs) => state.liveForMs(proxyId, nowMs));
  let warnedMs = Number.NEGATIVE_INFINITY;
  /** Heartbeats that were refused because of their time, so that people are told whose clock is off. */
  const late = new LateWords();
  const told = new FleetLog(log, () => clock.monotonicMs());
  const changed = (entry: FleetEntry | undefined) => {
    for (const listener of [...listeners]) listener(entry);
  };
  const refuse = (subject: string, why: string) => {
    if (clock.monotonicMs() - warnedMs < warnEveryMs) return; // a flood of invalid heartbeats must not flood the log
    warnedMs = clock.monotonicMs();
    log.warn("a heartbeat was refused", { subject: subject.slice(0, 200), why });
  };
  const arrival = (): Arrival => ({ atMs: steadyMs(), wallMs: clock.nowMs() });
  const hear = (message: BusMessage, { atMs, wallMs }: Arrival = arrival()): void => {
    try {
      const { writer, signed } = reader.hear("heartbeat", message);
      const heartbeat = parseHeartbeat(message.data, writer);
      const before = state.find(heartbeat.proxyId, atMs);
      state.hear(heartbeat, atMs, wallMs, signed);
      if (heartbeat.leaving) {
        if (before?.live) told.left(heartbeat);
      } else if (before?.live !== true && signed?.revoked === undefined) told.came(heartbeat);
      if (signed?.revoked !== undefined) {
        if (before?.live) changed(undefined);
      } else if (before === undefined || !before.live || differs(before.heartbeat, heartbeat)) {
        changed(state.find(heartbeat.proxyId, steadyMs()));
      }
    } catch (error) {
      const { proxyId } = parseFleetSubject(message.subject) ?? { proxyId: "" };
      if (isAshlarError(error, "stale")) late.set(proxyId, error.message, clock.monotonicMs());
      if (isAshlarError(error, "limit")) state.doubt(proxyId, steadyMs());
      refuse(message.subject, messageOf(error));
    }
  };
  const read = (messages: readonly Unread[]): void => {
    for (const { message, ...arrived } of messages) hear(message, arrived);
  };
  const trustChanged = (): void => {
    if (state.revoke((serial) => reader.revocationOf(serial))) changed(undefined);
  };
  const subscription = deps.bus.subscribe(heartbeatSubject("*", "*"), { queueMax: queuedMax });
  void (async () => {
    for await (const message of subscription) read(unread.take(message, arrival()));
  })();
  /** Reads what may wait no longer: after a time without a turn of the event loop it still lies there. */
  const readDue = (): number => {
    read(unread.takeDue(steadyMs()));
    return steadyMs();
  };
  const toldNow = (entries: readonly FleetEntry[]) => toldByClock(entries, clock.nowMs() - steadyMs());
  void sweep(deps, steadyMs, readDue, changed, told, stop.signal);
  return {
    hear: (message) => hear(message),
    trustChanged,
    clockProblems: () => late.list(clock.monotonicMs()),
    list: () => toldNow(state.list(readDue())),
    live: () => toldNow(state.live(readDue())),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close() {
      stop.abort();
      subscription.close();
      listeners.clear();
    },
  };
}

/** Converts times to the wall clock, which is `setMs` ahead, for people and for comparisons with that clock. */
function toldByClock(entries: readonly FleetEntry[], setMs: number): readonly FleetEntry[] {
  return Math.abs(setMs) < 1
    ? entries
    : entries.map((entry) => ({ ...entry, lastSeenMs: Math.max(0, entry.lastSeenMs + setMs) }));
}

const lateMs = 15_000;
const lateMax = 20;

class LateWords {
  /** By proxy: the last line, and when it was logged. */
  readonly #lines = new Map<string, { readonly line: string; readonly atMs: number }>();

  set(proxy: string, line: string, atMs: number): void {
    if (!this.#lines.has(proxy) && this.#lines.size >= lateMax) return;
    this.#lines.set(proxy, { line, atMs });
  }

  list(nowMs: number): readonly string[] {
    for (const [proxy, { atMs }] of this.#lines) if (nowMs - atMs > lateMs) this.#lines.delete(proxy);
    return [...this.#lines.values()].map(({ line }) => line);
  }
}

/** Watches for proxies that fall silent, the one change that no message announces. */
async function sweep(
  deps: FleetLoopDeps,
  steadyMs: () => number,
  readDue: () => number,
  changed: (entry: undefined) => void,
  told: FleetLog,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const beforeMs = steadyMs();
    const nextMs = deps.state.nextSilenceMs(beforeMs);
    await deps.clock.sleep(sweepMs, signal);
    const nowMs = readDue();
    deps.state.forget(nowMs);
    if (nextMs === undefined || nextMs > nowMs) continue;
    if (!signal.aborted) told.fellSilent(deps.state.silentSince(beforeMs, nowMs));
    changed(undefined);
  }
}

function differs(a: Heartbeat, b: Heartbeat): boolean {
  return (
    b.leaving ||
    a.evaluatingEpoch !== b.evaluatingEpoch ||
    a.evaluatingDigest !== b.evaluatingDigest ||
    a.seenEpoch !== b.seenEpoch ||
    a.serving !== b.serving ||
    a.rejected?.digest !== b.rejected?.digest ||
    a.prepared.length !== b.prepared.length ||
    a.prepared.some(({ digest }, index) => digest !== b.prepared[index]?.digest)
  );
}
