/** Sums the demands of one proxy's workers, so that other proxies see one proxy. Pure. */
import {
  type KeyDemand,
  type LimitDemand,
  type LimitReport,
  reportedKeysMax,
  reportedLimitsMax,
} from "./limit-report.js";

/** Milliseconds after which a silent worker counts as asking for nothing. */
const saidMs = 1000;
/** Milliseconds for which a worker's entry is kept: longer than released tokens are remembered anywhere. */
const keptMs = 5000;

interface KeyState {
  readonly limit: string;
  readonly key: string;
  readonly asked: Map<string, { readonly perSecond: number; readonly released: number; readonly atMs: number }>;
  /** In all, of workers that have ended too: it never falls while it is told. */
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

  /** A worker has told its demands. Keys beyond the bound keep even shares. */
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

  /** A worker ended: it asks for nothing. */
  forget(worker: string): void {
    for (const { asked } of this.#keys.values()) asked.delete(worker);
  }

  /** What the proxy asks now; without limits: nothing is to be told. */
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
