/** Keeps the budgets that are shared: tells the others what is asked here, and hears what is asked there. */
import { BucketTable } from "../../core/limit/bucket-table.js";
import type { Limit } from "../../core/limit/limit-model.js";
import { type LimitDemand, type LimitReport, reportedLimitsMax } from "../../core/limit/limit-report.js";
import type { Budgets } from "../../core/limit/limiter.js";
import { SharedBudgets } from "../../core/limit/shared-budgets.js";
import { limitDigest } from "../../core/limit/shared-table.js";
import type { Clock } from "../../runtime/clock.js";
import type { LimitExchange } from "./limit-exchange.js";

const intervalMsMin = 100;
const intervalMsMax = 2000;
/** So that a proxy hears at most 500 reports a second, however many there are. */
const intervalMsPerMember = 2;
/** What a peer says sooner after its last word is not listened to. */
const heardEveryMs = 25;
const peersMax = 4096;

export class ShareLoop {
  readonly #exchange: LimitExchange;
  readonly #clock: Clock;
  readonly #shared = new Map<string, SharedBudgets>();
  readonly #heardMs = new Map<string, number>();

  constructor(exchange: LimitExchange, clock: Clock) {
    this.#exchange = exchange;
    this.#clock = clock;
  }

  /** Budgets of a limit: shared over the mesh, or this proxy's own. */
  readonly openBudgets = (limit: Limit, identity: string, keysMax: number): Budgets => {
    if (limit.scope === "proxy") return new BucketTable(limit.tokens / limit.periodMs, limit.burst, keysMax);
    const id = limitDigest(identity);
    const budgets = new SharedBudgets(limit, keysMax, this.#exchange.members, this.#clock.monotonicMs(), () => {
      if (this.#shared.get(id) === budgets) this.#shared.delete(id);
    });
    this.#shared.set(id, budgets);
    return budgets;
  };

  /** Runs until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = this.#exchange.onReport((peer, report) => this.#hear(peer, report));
    while (!signal.aborted) await this.#clock.sleep(this.#tick(), signal);
    stop();
  }

  /** Gives the time to the next. */
  #tick(): number {
    if (this.#shared.size === 0) return intervalMsMin;
    const { members, connected } = this.#exchange;
    const intervalMs = Math.min(intervalMsMax, Math.max(intervalMsMin, members * intervalMsPerMember));
    const nowMs = this.#clock.monotonicMs();
    const limits: LimitDemand[] = [];
    for (const [limit, budgets] of this.#shared) {
      const keys = budgets.tick(nowMs, { members, connected, intervalMs });
      if (keys.length > 0) limits.push({ limit, keys });
    }
    if (limits.length > 0) this.#exchange.publish({ limits: limits.slice(0, reportedLimitsMax) });
    return intervalMs;
  }

  #hear(peer: string, { limits }: LimitReport): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - (this.#heardMs.get(peer) ?? Number.NEGATIVE_INFINITY) < heardEveryMs) return;
    if (this.#heardMs.size >= peersMax) this.#heardMs.clear();
    this.#heardMs.set(peer, nowMs);
    for (const { limit, keys } of limits) this.#shared.get(limit)?.hear(peer, keys, nowMs);
  }
}
