/** Waits until live proxies have reached a state, woken by their heartbeats and never by polling. */
import type { Clock } from "../../runtime/clock.js";
import type { FleetView } from "./fleet-loop.js";
import type { FleetEntry } from "./fleet-state.js";

export interface FleetWaitOptions {
  /** Returns whether this proxy has reached the state. */
  readonly isThere: (entry: FleetEntry) => boolean;
  /** The share of live proxies that must have reached it, in percent. */
  readonly percent: number;
  /**
   * Returns whether this proxy will never reach it. Once there are too many of these for the share, the wait ends at
   * once.
   */
  readonly isHopeless?: (entry: FleetEntry) => boolean;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface FleetWaitResult {
  readonly outcome: "met" | "timeout" | "hopeless" | "stopped";
  /** The live proxies that have not reached it, sorted by service, then id. */
  readonly missing: readonly FleetEntry[];
}

/** Returns how many of `total` proxies are at least `percent` percent. */
function shareOf(total: number, percent: number): number {
  return Math.ceil((total * percent) / 100);
}

/**
 * Resolves as soon as the share of live proxies has reached the state (at once if none is live), or too many never
 * will, the time is over, or `signal` aborts. Proxies that join or fall silent meanwhile begin or stop to count.
 */
export async function waitForFleet(
  fleet: FleetView,
  clock: Clock,
  options: FleetWaitOptions,
): Promise<FleetWaitResult> {
  const tally = new Tally(options);
  const noteAll = () => tally.replace(fleet.live());
  const over = new AbortController();
  const unsubscribe = fleet.onChange((entry) => {
    if (entry?.live) tally.note(entry);
    else noteAll();
    if (tally.isMet() || tally.isHopeless()) over.abort();
  });
  try {
    noteAll();
    if (!tally.isMet() && !tally.isHopeless()) {
      const signal = options.signal ? AbortSignal.any([over.signal, options.signal]) : over.signal;
      await clock.sleep(options.timeoutMs, signal);
      noteAll();
    }
  } finally {
    unsubscribe();
  }
  const missing = fleet.live().filter((entry) => !options.isThere(entry));
  if (tally.isMet()) return { outcome: "met", missing };
  if (tally.isHopeless()) return { outcome: "hopeless", missing };
  return { outcome: options.signal?.aborted ? "stopped" : "timeout", missing };
}

type Progress = "there" | "hopeless" | "underway";

/** Counts proxies by their state, so that a heartbeat needs no pass over the whole fleet. */
class Tally {
  readonly #options: FleetWaitOptions;
  readonly #progress = new Map<string, Progress>();
  readonly #count = { there: 0, hopeless: 0, underway: 0 };

  constructor(options: FleetWaitOptions) {
    this.#options = options;
  }

  note(entry: FleetEntry): void {
    const before = this.#progress.get(entry.heartbeat.proxyId);
    const { isThere, isHopeless } = this.#options;
    const now: Progress = isThere(entry) ? "there" : isHopeless?.(entry) ? "hopeless" : "underway";
    if (before !== undefined) this.#count[before] -= 1;
    this.#count[now] += 1;
    this.#progress.set(entry.heartbeat.proxyId, now);
  }

  replace(entries: readonly FleetEntry[]): void {
    this.#progress.clear();
    this.#count.there = this.#count.hopeless = this.#count.underway = 0;
    for (const entry of entries) this.note(entry);
  }

  isMet(): boolean {
    return this.#count.there >= shareOf(this.#progress.size, this.#options.percent);
  }

  isHopeless(): boolean {
    const total = this.#progress.size;
    return this.#count.hopeless > total - shareOf(total, this.#options.percent);
  }
}
