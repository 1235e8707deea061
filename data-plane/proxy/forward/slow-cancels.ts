import { TokenBucket } from "../../http2/limits.js";
import { errorCode } from "../../http2/protocol.js";
import { nobody, type Stream } from "../../http2/stream.js";

/** The other proxy takes a stream of this age for one that was meant (abuse-meter.ts). */
const oldEnoughMs = 50;
/** The most cancels per second, well below what the other proxy allows. */
const atOnce = { burst: 100, perSecond: 50 };

/**
 * Cancels calls on a connection that other callers use too. An application that cancels calls as fast as it makes them
 * would have the connection ended for all: beyond a few, cancels wait until their streams are old enough. Until then they
 * take their place among the streams that may be open at once, which bounds how many there are.
 */
export class SlowCancels {
  readonly #atOnce: TokenBucket;
  readonly #waiting = new Set<Stream>();
  readonly #nowMs: () => number;
  /** Called when streams have ended, so that there is room. */
  readonly #ended: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(nowMs: () => number, ended: () => void) {
    this.#atOnce = new TokenBucket(atOnce, nowMs());
    this.#nowMs = nowMs;
    this.#ended = ended;
  }

  /** No event of the stream follows. */
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

  /** The connection is gone. */
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
