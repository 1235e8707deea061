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
  readonly #waiting = new Set<Stream>();
  readonly #nowMs: () => number;
  /** Called when streams have ended and there is room. */
  readonly #ended: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(nowMs: () => number, ended: () => void) {
    this.#atOnce = new TokenBucket(atOnce, nowMs());
    this.#nowMs = nowMs;
    this.#ended = ended;
  }

  /** Cancels a stream, now or later. No event of the stream follows. */
  cancel(stream: Stream): void {
    const nowMs = this.#nowMs();
    const leftMs = stream.openedAtMs + oldEnoughMs - nowMs;
    if (stream.closed || leftMs <= 0 || this.#atOnce.take(leftMs / oldEnoughMs, nowMs)) {
      stream.reset(errorCode.cancel);
      return;
    }
    stream.sink = nobody;
    this.#waiting.add(stream);
    this.#timer ??= setTimeout(() => this.#cancelOld(), leftMs);
  }

  /** Forgets the waiting cancels because the connection is closed. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  #cancelOld(): void {
    const nowMs = this.#nowMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const stream of this.#waiting) {
      const leftMs = stream.closed ? 0 : stream.openedAtMs + oldEnoughMs - nowMs;
      if (leftMs > 0) {
        nextMs = Math.min(nextMs, leftMs);
        continue;
      }
      this.#waiting.delete(stream);
      stream.reset(errorCode.cancel);
    }
    this.#timer = Number.isFinite(nextMs) ? setTimeout(() => this.#cancelOld(), nextMs) : undefined;
    this.#ended();
  }
}
