/** How those that share budgets hear of each other. Reports may be lost, never changed; the writer is proved. */

import type { Limit } from "../../core/kinds/rate-limit/rate-limit.js";
import type { LimitReport, ReportOrigin } from "../../core/limit/limit-report.js";
import { onAbort } from "../../runtime/abort.js";

export type ReportListener = (peer: string, report: LimitReport, origin: ReportOrigin) => void;

export interface LimitExchange {
  /** How many proxies share, this one included; at least 1. */
  readonly members: number;
  /** Processes of this proxy that carry calls and share what is the proxy's, this one included; at least 1. */
  readonly workers: number;
  /** Whether reports of other proxies come and go now. */
  readonly connected: boolean;
  /** Tells the others about limits of this scope: "proxy", only the other workers. Never waits. */
  publish(report: LimitReport, scope: Limit["scope"]): void;
  /** Calls `listener` with what others tell, never with what was published here. Returns the way to stop it. */
  onReport(listener: ReportListener): () => void;
}

/** Those of one process, for instance of several proxies in one: what one publishes, the others hear at once. */
export class LocalExchangeHub {
  readonly #listeners = new Map<string, Set<ReportListener>>();

  /** A member with this name joins; it leaves when `signal` aborts. */
  join(name: string, signal: AbortSignal): LimitExchange {
    const all = this.#listeners;
    const own = new Set<ReportListener>();
    all.set(name, own);
    onAbort(signal, () => all.delete(name));
    return {
      get members() {
        return Math.max(1, all.size);
      },
      workers: 1,
      connected: true,
      publish(report, scope) {
        if (scope === "proxy") return;
        for (const [other, listeners] of all)
          if (other !== name) for (const listener of listeners) listener(name, report, "proxy");
      },
      onReport(listener) {
        own.add(listener);
        return () => own.delete(listener);
      },
    };
  }
}
