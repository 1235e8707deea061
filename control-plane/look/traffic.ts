/** The traffic of the mesh for all who watch it; they share one order to the proxies. */

import { BoundedMap } from "../../core/bounded-map.js";
import { AshlarError } from "../../core/errors.js";
import type { SpiffeId } from "../../core/identity.js";
import { askEveryMs, countsEveryMs, type TrafficReport } from "../../core/look/look-model.js";
import type { FleetWriter } from "../../core/wire/fleet.js";
import { parseTrafficReport } from "../../core/wire/look.js";
import { onAbort } from "../../runtime/abort.js";
import type { Clock } from "../../runtime/clock.js";
import type { FleetView } from "../fleet/fleet-loop.js";
import type { LookDesk } from "./look-desk.js";
import { type TrafficPair, TrafficWindow } from "./traffic-window.js";

export interface TrafficDeps {
  readonly desk: Pick<LookDesk, "open">;
  readonly fleet: Pick<FleetView, "live">;
  readonly clock: Clock;
}

/** The calls of the last seconds. */
export interface TrafficView {
  readonly timeMs: number;
  /** The milliseconds that the counts cover. */
  readonly windowMs: number;
  /** The counts, those with the most calls first. */
  readonly pairs: readonly TrafficPair[];
  /** The number of live proxies. */
  readonly proxies: number;
  /** How many of them report. */
  readonly answering: number;
  /** The live proxies that do not report. */
  readonly silent: readonly string[];
}

const watchersMax = 200;
/**
 * The milliseconds after which a silent proxy does not count as reporting; without calls it reports every five seconds.
 */
const answersMs = 12_000;
/** Proxies begin to count within so long after an order, each at another moment (data-plane/look/call-teller.ts). */
const beginMs = 500;
/** The milliseconds within which proxies answer an order. */
const settleMs = 2000;
const proxiesMax = 20_000;

/** The state while somebody watches. */
interface Running {
  readonly close: () => void;
  readonly window: TrafficWindow;
  readonly startedMs: number;
  /** When each proxy reported last. */
  readonly answered: BoundedMap<string, number>;
  readonly stop: AbortController;
}

export class Traffic {
  readonly #deps: TrafficDeps;
  readonly #wakes = new Set<() => void>();
  #running: Running | undefined;
  #view: TrafficView | undefined;

  constructor(deps: TrafficDeps) {
    this.#deps = deps;
  }

  /**
   * Yields the traffic until `signal` aborts: at first as soon as proxies have answered, then as often as those tell
   * it, which is every one to five seconds by their number. A slow reader misses views. Fails with `limit` if too many
   * look.
   */
  async *watch(operator: SpiffeId, signal: AbortSignal): AsyncGenerator<TrafficView, void, undefined> {
    if (this.#wakes.size >= watchersMax) throw new AshlarError("limit", `${watchersMax} others watch traffic already`);
    let wake = () => {};
    const onNews = () => wake();
    this.#wakes.add(onNews);
    const off = onAbort(signal, onNews);
    this.#running ??= this.#start(operator);
    let seen: TrafficView | undefined;
    try {
      while (!signal.aborted) {
        if (this.#view !== undefined && this.#view !== seen) {
          seen = this.#view;
          yield seen;
          continue;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (signal.aborted) resolve();
        });
      }
    } finally {
      off();
      this.#wakes.delete(onNews);
      if (this.#wakes.size === 0) this.#end();
    }
  }

  #start(operator: SpiffeId): Running {
    const { desk, clock } = this.#deps;
    const startedMs = clock.monotonicMs();
    const window = new TrafficWindow(startedMs + beginMs);
    const answered = new BoundedMap<string, number>(proxiesMax);
    const hear = (bytes: Uint8Array, writer: FleetWriter, id: string): void => {
      const report: TrafficReport = parseTrafficReport(bytes, writer);
      if (report.order !== id) throw new AshlarError("invalid_record", "it answers another order");
      window.take(writer, report.counts);
      answered.set(writer.proxyId, clock.monotonicMs());
    };
    const close = desk.open(undefined, operator, hear, () => this.#everyMs());
    const running = { close, window, startedMs, answered, stop: new AbortController() };
    void this.#tick(running);
    return running;
  }

  async #tick(running: Running): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = running.stop;
    await clock.sleep(beginMs, signal);
    let everyMs = countsEveryMs.min; // as proxies tell it
    while (!signal.aborted) {
      await clock.sleep(everyMs, signal);
      if (signal.aborted) return;
      everyMs = this.#everyMs();
      this.#view = this.#read(running);
      for (const wake of [...this.#wakes]) wake();
    }
  }

  #everyMs(): number {
    return askEveryMs(this.#deps.fleet.live().length);
  }

  #read({ window, answered, startedMs }: Running): TrafficView {
    const { clock, fleet } = this.#deps;
    const nowMs = clock.monotonicMs();
    const live = fleet.live().map(({ heartbeat }) => heartbeat.proxyId);
    const silent = live.filter((id) => nowMs - (answered.get(id) ?? Number.NEGATIVE_INFINITY) > answersMs);
    return {
      timeMs: clock.nowMs(),
      ...window.read(nowMs),
      proxies: live.length,
      answering: live.length - silent.length,
      silent: nowMs - startedMs < settleMs ? [] : silent,
    };
  }

  #end(): void {
    this.#running?.stop.abort();
    this.#running?.close();
    this.#running = undefined;
    this.#view = undefined;
  }
}
