/** Counts calls since the last switch, for heartbeats. The gates of a rollout compare these counts. */
import { status } from "@grpc/grpc-js";
import type { Digest } from "../../core/digest.js";
import { type CallCounts, tookBoundsMs } from "../../core/model.js";
import type { EndedCall, ProxyMetrics } from "../proxy/proxy-metrics.js";
import { MethodWindow } from "./method-window.js";

/** The counts of one window, in plain numbers because every call updates them. */
class Window {
  calls = 0;
  refused = 0;
  failed = 0;
  readonly took = new Float64Array(tookBoundsMs.length + 1);
  readonly methods = new MethodWindow();

  read(): CallCounts {
    const { calls, refused, failed } = this;
    return { calls, refused, failed, took: calls > refused ? [...this.took] : [], methods: this.methods.read() };
  }
}

export class CallWindow {
  #digest: Digest | undefined;
  #now = new Window();
  #before: CallCounts | undefined;

  /** `digest`: the revision that is evaluated at the start. */
  constructor(digest: Digest | undefined) {
    this.#digest = digest;
  }

  /** Begins new counts for a new epoch. The counts of the last epoch under another revision are kept beside them. */
  switched(digest: Digest): void {
    if (digest !== this.#digest) this.#before = this.#digest === undefined ? undefined : this.#now.read();
    this.#digest = digest;
    this.#now = new Window();
  }

  /**
   * Counts a call. Runs for every call, so it is cheap and never fails. Copies of calls, and reads that a replica
   * leaves to the primary, are not counted: they say nothing about what callers get.
   */
  ended({ direction, service, method, caller, code, reason, tookMs, isMirrored }: EndedCall): void {
    if (isMirrored || reason === "not-applied") return;
    const window = this.#now;
    window.calls++;
    const own = reason !== undefined;
    const outbound = direction === "outbound";
    const refused = own && isRefusal(code);
    let place = 0;
    while (place < tookBoundsMs.length && tookMs > (tookBoundsMs[place] as number)) place++;
    // the other side's proxy counts its own answers, or a failure would count for both revisions
    const failed = isFailure(code) && (own || !outbound);
    if (refused) window.refused++;
    else {
      if (failed) window.failed++;
      window.took[place] = (window.took[place] as number) + 1;
    }
    // a route decides which instance answers, so counts by method include answers of the other side
    const refusedHere = refused || (outbound && isRefusal(code));
    const by = outbound ? "" : caller;
    window.methods.count(by, service, method, refusedHere, isFailure(code), refusedHere ? -1 : place);
  }

  get calls(): CallCounts {
    return this.#now.read();
  }

  get before(): CallCounts | undefined {
    return this.#before;
  }
}

/** Wraps the metrics so that each call is also counted in the window of the epoch in which it ended. */
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
