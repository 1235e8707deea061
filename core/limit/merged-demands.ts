/** Adds up the demands of a proxy's workers, so that other proxies see one proxy. Pure. */
import {
  type KeyDemand,
  type LimitDemand,
  type LimitReport,
  reportedKeysMax,
  reportedLimitsMax,
} from "./limit-report.js";

/** Milliseconds after which the demand of a silent worker counts as 0. */
const saidMs = 1000;
/** Milliseconds for which a key is kept after its last report: longer than anybody remembers released tokens. */
const keptMs = 5000;

interface KeyState {
  readonly limit: string;
  readonly key: string;
  readonly asked: Map<string, { readonly perSecond: number; readonly released: number; readonly atMs: number }>;
  /**
   * The tokens that all workers have released, including those that have ended. It never falls while the key is
   * reported.
   */
  released: number;
  heardMs: number;
}

/** The most keys that fit into one report. */
const keysMax = reportedKeysMax * reportedLimitsMax;

export class MergedDemands {
  readonly #keys = new Map<string, KeyState>();

  get size(): number {
    return this.#keys.size;
  }

  /** Notes the demands of a worker. Keys beyond the bound keep even shares. */
  hear(worker: string, { limits }: LimitReport, nowMs: number): void {
    for (const { limit, keys } of limits) {
      for (const demand of keys) {
        const id = `${limit} ${demand.key}`;
        let state = this.#keys.get(id);
        if (state === undefined) {
          if (this.#keys.size >= keysMax) continue;
          state = { limit, key: demand.key, asked: new Map(), released: 0, heardMs: nowMs };
          this.#keys.set(id, state);
        }
        const before = state.asked.get(worker)?.released ?? 0;
        state.released += demand.released < before ? demand.released : demand.released - before;
        state.asked.set(worker, { perSecond: demand.perSecond, released: demand.released, atMs: nowMs });
        state.heardMs = nowMs;
      }
    }
  }

  /** Forgets a worker that ended: its demand is 0 from now on. */
  forget(worker: string): void {
    for (const { asked } of this.#keys.values()) asked.delete(worker);
  }

  /** Returns the proxy's demands; a report without limits need not be sent. */
  report(nowMs: number): LimitReport {
    const byLimit = new Map<string, KeyDemand[]>();
    for (const [id, { limit, key, asked, released, heardMs }] of this.#keys) {
      if (nowMs - heardMs > keptMs) this.#keys.delete(id);
      if (nowMs - heardMs > saidMs) continue;
      const perSecond = [...asked.values()].reduce(
        (sum, one) => (nowMs - one.atMs > saidMs ? sum : sum + one.perSecond),
        0,
      );
      const keys = byLimit.get(limit) ?? [];
      byLimit.set(limit, keys);
      keys.push({ key, perSecond, released });
    }
    const limits = [...byLimit].map(([limit, keys]): LimitDemand => {
      keys.sort((a, b) => b.perSecond - a.perSecond);
      return { limit, keys: keys.slice(0, reportedKeysMax) };
    });
    return { limits: limits.slice(0, reportedLimitsMax) };
  }
}
