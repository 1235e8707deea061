import { TokenBucket } from "../../http2/limits.js";
import { errorCode } from "../../http2/protocol.js";
import { nobody, type Stream } from "../../http2/stream.js";

/** A stream of this age, in milliseconds, no longer counts as a quick reset at the other proxy (abuse-meter.ts). */
const oldEnoughMs = 50;
/** The most cancels per second, well below what the other proxy allows. */
const atOnce = { burst: 100, perSecond: 50 };

/**
 * Cancels calls on a connection that other callers share. An application that cancels calls as fast as it makes them
 * would otherwise get the connection ended for all callers: beyond a few, cancels wait until their streams are old
 * enough. Until then the streams count towards the limit of open streams, which bounds how many wait.
 */
export class SlowCancels {
  readonly #atOnce: TokenBucket;
  /** With the stream of its caller, which keeps its slot until then, or null. */
  readonly #waiting = new Map<Stream, Stream | null>();
  readonly #nowMs: () => number;
  /** Called when streams have ended and there is room. */
  readonly #ended: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(nowMs: () => number, ended: () => void) {
    this.#atOnce = new TokenBucket(atOnce, nowMs());
    this.#nowMs = nowMs;
    this.#ended = ended;
  }

  /**
   * Cancels a stream, now or later. No event of the stream follows. `caller`: the stream whose reset is the reason: it counts
   * towards its connection's limit as long as the call is open upstream.
   */
  cancel(stream: Stream, caller: Stream | null = null): void {
    const nowMs = this.#nowMs();
    const leftMs = stream.openedAtMs + oldEnoughMs - nowMs;
    if (stream.closed || leftMs <= 0 || this.#atOnce.take(leftMs / oldEnoughMs, nowMs)) {
      stream.reset(errorCode.cancel);
      return;
    }
    stream.sink = nobody;
    this.#waiting.set(stream, caller);
    if (caller !== null) caller.keepSlot = true;
    this.#timer ??= setTimeout(() => this.#cancelOld(), leftMs);
  }

  /** Forgets the waiting cancels because the connection is closed. */
  stop(): void {
    clearTimeout(this.#timer);
    for (const caller of this.#waiting.values()) caller?.release();
    this.#waiting.clear();
  }

  #cancelOld(): void {
    const nowMs = this.#nowMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [stream, caller] of this.#waiting) {
      const leftMs = stream.closed ? 0 : stream.openedAtMs + oldEnoughMs - nowMs;
      if (leftMs > 0) {
        nextMs = Math.min(nextMs, leftMs);
        continue;
      }
      this.#waiting.delete(stream);
      stream.reset(errorCode.cancel);
      caller?.release();
    }
    this.#timer = Number.isFinite(nextMs) ? setTimeout(() => this.#cancelOld(), nextMs) : undefined;
    this.#ended();
  }
}
