import type { LimitExchange, ReportListener } from "../../data-plane/limits/limit-exchange.js";
import { onAbort } from "../../runtime/abort.js";

/** Creates exchanges within one process: what one of them publishes, the others receive at once. */
export class LocalExchangeHub {
  readonly #listeners = new Map<string, Set<ReportListener>>();

  /** Adds a member with this name, which leaves when `signal` aborts. */
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
