/**
 * Exchanges the demand for shared limits between workers and with other proxies. A worker hears of every other worker
 * and proxy. Other proxies hear the sum of the workers.
 */
import type { Limit } from "../../core/kinds/rate-limit/rate-limit.js";
import type { LimitReport } from "../../core/limit/limit-report.js";
import { MergedDemands } from "../../core/limit/merged-demands.js";
import type { Clock } from "../../runtime/clock.js";
import type { LimitExchange } from "../limits/limit-exchange.js";
import { PeerPace } from "../limits/peer-pace.js";
import { reportIntervalMs } from "../limits/share-loop.js";
import type { ToWorker } from "./messages.js";

/** The workers, to which messages are sent. */
export interface ToldWorkers {
  readonly briefed: readonly number[];
  say(worker: number, message: ToWorker): void;
}

export class CrewLimits {
  readonly #workers: ToldWorkers;
  readonly #exchange: LimitExchange;
  readonly #clock: Clock;
  readonly #demands = new MergedDemands();
  readonly #pace = new PeerPace();
  #members = 1;
  #connected = false;

  /** `exchange`: the exchange with other proxies. */
  constructor(workers: ToldWorkers, exchange: LimitExchange, clock: Clock) {
    this.#workers = workers;
    this.#exchange = exchange;
    this.#clock = clock;
  }

  /** Runs until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = this.#exchange.onReport((peer, report) => {
      if (!this.#pace.allows(peer, this.#clock.monotonicMs())) return;
      for (const worker of this.#workers.briefed)
        this.#workers.say(worker, { kind: "limits", peer, origin: "proxy", report });
    });
    while (!signal.aborted) {
      this.#tick();
      await this.#clock.sleep(reportIntervalMs(this.#members), signal);
    }
    stop();
  }

  /** Tells a starting worker who shares limits. */
  brief(worker: number): void {
    const { members, connected } = this.#exchange;
    this.#workers.say(worker, { kind: "sharing", members, connected });
  }

  /** Takes a worker's report of its demand. */
  hear(worker: number, report: LimitReport, scope: Limit["scope"]): void {
    const peer = nameOf(worker);
    if (scope === "mesh") this.#demands.hear(peer, report, this.#clock.monotonicMs());
    for (const other of this.#workers.briefed)
      if (other !== worker) this.#workers.say(other, { kind: "limits", peer, origin: "worker", report });
  }

  gone(worker: number): void {
    this.#demands.forget(nameOf(worker));
  }

  #tick(): void {
    const { members, connected } = this.#exchange;
    if (members !== this.#members || connected !== this.#connected) {
      this.#members = members;
      this.#connected = connected;
      for (const worker of this.#workers.briefed) this.brief(worker);
    }
    const report = this.#demands.report(this.#clock.monotonicMs());
    if (connected && report.limits.length > 0) this.#exchange.publish(report, "mesh");
  }
}

/** Returns the name of a worker among the peers. It contains a space, so no proxy can have the same name. */
function nameOf(worker: number): string {
  return `worker ${worker}`;
}
