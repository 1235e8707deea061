/** Runs the exchange of shared budgets: reports local demand to the others and takes in theirs. */

import type { Limit } from "../../core/kinds/rate-limit/rate-limit.js";
import { BucketTable } from "../../core/limit/bucket-table.js";
import { type LimitDemand, reportedLimitsMax } from "../../core/limit/limit-report.js";
import type { Budgets } from "../../core/limit/limiter.js";
import { SharedBudgets } from "../../core/limit/shared-budgets.js";
import { limitDigest } from "../../core/limit/shared-table.js";
import type { Clock } from "../../runtime/clock.js";
import type { LimitExchange, ReportListener } from "./limit-exchange.js";
import { PeerPace } from "./peer-pace.js";

const intervalMsMin = 100;
const intervalMsMax = 2000;
/** The interval grows by this many milliseconds per proxy, so that a proxy receives at most 500 reports a second. */
const intervalMsPerMember = 2;

/** Returns the milliseconds between two reports of a proxy, given the number of proxies. */
export function reportIntervalMs(members: number): number {
  return Math.min(intervalMsMax, Math.max(intervalMsMin, members * intervalMsPerMember));
}

interface Shared {
  readonly scope: Limit["scope"];
  readonly budgets: SharedBudgets;
}

export class ShareLoop {
  readonly #exchange: LimitExchange;
  readonly #clock: Clock;
  readonly #shared = new Map<string, Shared>();
  readonly #pace = new PeerPace();

  constructor(exchange: LimitExchange, clock: Clock) {
    this.#exchange = exchange;
    this.#clock = clock;
  }

  /**
   * Opens the budgets of a limit: shared with other proxies, with other workers or both, or used by this process alone.
   */
  readonly openBudgets = (limit: Limit, identity: string, keysMax: number): Budgets => {
    if (limit.scope === "proxy" && this.#exchange.workers === 1)
      return new BucketTable(limit.rate.tokens / limit.rate.periodMs, limit.burst, keysMax);
    const id = limitDigest(identity);
    const { members, workers } = this.#exchange;
    const budgets = new SharedBudgets(limit, keysMax, { members, workers }, this.#clock.monotonicMs(), () => {
      if (this.#shared.get(id)?.budgets === budgets) this.#shared.delete(id);
    });
    this.#shared.set(id, { scope: limit.scope, budgets });
    return budgets;
  };

  /** Runs until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = this.#exchange.onReport(this.#hear);
    while (!signal.aborted) await this.#clock.sleep(this.#tick(), signal);
    stop();
  }

  /** Performs one exchange. Returns the milliseconds until the next one. */
  #tick(): number {
    if (this.#shared.size === 0) return intervalMsMin;
    const { members, workers, connected } = this.#exchange;
    const intervalMs = reportIntervalMs(members);
    const nowMs = this.#clock.monotonicMs();
    const limits = { proxy: [] as LimitDemand[], mesh: [] as LimitDemand[] };
    for (const [limit, { scope, budgets }] of this.#shared) {
      const keys = budgets.tick(nowMs, { members, workers, connected, intervalMs });
      if (keys.length > 0) limits[scope].push({ limit, keys });
    }
    for (const scope of ["proxy", "mesh"] as const)
      if (limits[scope].length > 0)
        this.#exchange.publish({ limits: limits[scope].slice(0, reportedLimitsMax) }, scope);
    return intervalMs;
  }

  readonly #hear: ReportListener = (peer, { limits }, origin) => {
    const nowMs = this.#clock.monotonicMs();
    if (origin === "proxy" && !this.#pace.allows(peer, nowMs)) return;
    for (const { limit, keys } of limits) this.#shared.get(limit)?.budgets.hear(peer, keys, nowMs, origin);
  };
}
