/** Taps: single calls as they end, reported by the proxies that carry them, within bounds. */
import { AshlarError } from "../../core/errors.js";
import type { SpiffeId } from "../../core/identity.js";
import type { TapFilter, TappedCall } from "../../core/look/look-model.js";
import { parseTapReport } from "../../core/wire/look.js";
import { onAbort } from "../../runtime/abort.js";
import type { Clock } from "../../runtime/clock.js";
import type { LookDesk } from "./look-desk.js";

export interface TapsDeps {
  readonly desk: Pick<LookDesk, "open">;
  readonly clock: Clock;
}

/** Calls that one proxy reported. */
export interface TappedBatch {
  readonly proxyId: string;
  readonly calls: readonly TappedCall[];
  /** The number of matching calls that were dropped, at the proxy or here. */
  readonly dropped: number;
}

/** The most taps at once. */
const tapsMax = 8;
/** The most calls that wait for a slow reader. */
const waitingMax = 2000;
/** The milliseconds after which a reader gets an empty batch if there are no calls. */
const quietMs = 10_000;

export class Taps {
  readonly #deps: TapsDeps;
  #open = 0;

  constructor(deps: TapsDeps) {
    this.#deps = deps;
  }

  /** Fails with `limit` if there are too many taps. */
  checkRoom(): void {
    if (this.#open >= tapsMax) throw new AshlarError("limit", `${tapsMax} taps are open already: end one of them`);
  }

  /**
   * Yields calls until `signal` aborts, with an empty batch at once and whenever no call comes for a while. Fails as
   * `checkRoom` does.
   */
  async *open(
    filter: TapFilter,
    operator: SpiffeId,
    signal: AbortSignal,
  ): AsyncGenerator<TappedBatch, void, undefined> {
    this.checkRoom();
    this.#open++;
    const waiting: TappedBatch[] = [{ proxyId: "", calls: [], dropped: 0 }];
    let [held, dropped] = [0, 0];
    let wake = new AbortController();
    const off = onAbort(signal, () => wake.abort());
    const close = this.#deps.desk.open(filter, operator, (bytes, writer, id) => {
      const report = parseTapReport(bytes, writer);
      if (report.order !== id) throw new AshlarError("invalid_record", "it answers another order");
      if (held + report.calls.length > waitingMax) dropped += report.calls.length + report.dropped;
      else {
        held += report.calls.length;
        waiting.push({ proxyId: writer.proxyId, calls: report.calls, dropped: report.dropped });
      }
      wake.abort();
    });
    try {
      while (!signal.aborted) {
        const batch = waiting.shift() ?? (dropped > 0 ? { proxyId: "", calls: [], dropped: 0 } : undefined);
        if (batch !== undefined) {
          held -= batch.calls.length;
          const more = dropped;
          dropped = 0;
          yield { ...batch, dropped: batch.dropped + more };
          continue;
        }
        await this.#deps.clock.sleep(quietMs, wake.signal);
        if (!wake.signal.aborted) waiting.push({ proxyId: "", calls: [], dropped: 0 });
        wake = new AbortController();
      }
    } finally {
      off();
      close();
      this.#open--;
    }
  }
}
