/** How those that share budgets hear of each other. Reports may be lost, never changed; the writer is proved. */
import type { LimitReport } from "../../core/limit/limit-report.js";

export interface LimitExchange {
  /** How many share, this one included; at least 1. */
  readonly members: number;
  /** Whether reports come and go now. */
  readonly connected: boolean;
  /** Tells the others; never waits. */
  publish(report: LimitReport): void;
  /** Calls `listener` with what others tell, never with what was published here. Returns the way to stop it. */
  onReport(listener: (peer: string, report: LimitReport) => void): () => void;
}

/** Those of one process, for instance of several proxies in one: what one publishes, the others hear at once. */
export class LocalExchangeHub {
  readonly #listeners = new Map<string, Set<(peer: string, report: LimitReport) => void>>();

  /** A member with this name joins; it leaves when `signal` aborts. */
  join(name: string, signal: AbortSignal): LimitExchange {
    const all = this.#listeners;
    const own = new Set<(peer: string, report: LimitReport) => void>();
    all.set(name, own);
    signal.addEventListener("abort", () => all.delete(name), { once: true });
    return {
      get members() {
        return Math.max(1, all.size);
      },
      connected: true,
      publish(report) {
        for (const [other, listeners] of all)
          if (other !== name) for (const listener of listeners) listener(name, report);
      },
      onReport(listener) {
        own.add(listener);
        return () => own.delete(listener);
      },
    };
  }
}
