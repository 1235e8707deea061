/** Calls since the last switch, for the fleet view: what the gates of a rollout compare. */
import { status } from "@grpc/grpc-js";
import type { Digest } from "../../core/digest.js";
import { type CallCounts, tookBoundsMs } from "../../core/model.js";
import type { EndedCall, ProxyMetrics } from "../proxy/proxy-metrics.js";

/** Plain numbers, since every call counts. */
class Window {
  calls = 0;
  refused = 0;
  failed = 0;
  readonly took = new Float64Array(tookBoundsMs.length + 1);

  read(): CallCounts {
    const answered = this.calls > this.refused;
    return { calls: this.calls, refused: this.refused, failed: this.failed, took: answered ? [...this.took] : [] };
  }
}

export class CallWindow {
  #digest: Digest | undefined;
  #now = new Window();
  #before: CallCounts | undefined;

  /** `digest`: the revision that is evaluated at start. */
  constructor(digest: Digest | undefined) {
    this.#digest = digest;
  }

  /** An epoch begins. Counts begin anew; those of the last epoch under another revision are kept beside them. */
  switched(digest: Digest): void {
    if (digest !== this.#digest) this.#before = this.#digest === undefined ? undefined : this.#now.read();
    this.#digest = digest;
    this.#now = new Window();
  }

  /** On the hot path: cheap, and never fails. */
  ended({ direction, code, reason, tookMs }: EndedCall): void {
    const window = this.#now;
    window.calls++;
    const own = reason !== undefined;
    if (own && isRefusal(code)) {
      window.refused++;
      return;
    }
    // what the other side answered is its own proxy's to count, or a failure would be told of both revisions
    if (isFailure(code) && (own || direction === "inbound")) window.failed++;
    let place = 0;
    while (place < tookBoundsMs.length && tookMs > (tookBoundsMs[place] as number)) place++;
    window.took[place] = (window.took[place] as number) + 1;
  }

  get calls(): CallCounts {
    return this.#now.read();
  }

  get before(): CallCounts | undefined {
    return this.#before;
  }
}

/** Every call counts for the metrics, and for the epoch in which it ended. */
export function countedTwice(metrics: ProxyMetrics, window: CallWindow): ProxyMetrics {
  return {
    ...metrics,
    callEnded: (call) => {
      metrics.callEnded(call);
      window.ended(call);
    },
  };
}

function isRefusal(code: status): boolean {
  return code === status.PERMISSION_DENIED || code === status.UNAUTHENTICATED || code === status.RESOURCE_EXHAUSTED;
}

function isFailure(code: status): boolean {
  return (
    code === status.UNKNOWN ||
    code === status.DEADLINE_EXCEEDED ||
    code === status.INTERNAL ||
    code === status.UNAVAILABLE ||
    code === status.DATA_LOSS
  );
}
