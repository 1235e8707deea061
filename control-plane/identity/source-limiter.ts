import { BoundedMap } from "../../core/bounded-map.js";
import { AshlarError } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import { networkOf } from "../../runtime/connection-gate.js";

interface Bucket {
  tokens: number;
  atMs: number;
}

/**
 * Limits the requests of each source (a host, or a /64 of IPv6) with a token bucket per source. The number of buckets is
 * bounded.
 */
export class SourceLimiter {
  readonly #clock: Clock;
  readonly #burst: number;
  readonly #perSecond: number;
  /** The buckets, the source that asked least recently first. */
  readonly #buckets: BoundedMap<string, Bucket>;

  constructor(
    clock: Clock,
    limits: { readonly burst: number; readonly perSecond: number; readonly sourcesMax: number },
  ) {
    this.#clock = clock;
    this.#burst = limits.burst;
    this.#perSecond = limits.perSecond;
    this.#buckets = new BoundedMap(limits.sourcesMax);
  }

  /** Counts one request from "HOST:PORT", or of another source with a name; fails with `limit`. */
  admit(source: string): void {
    const host = networkOf(source.replace(/:\d+$/, ""));
    const nowMs = this.#clock.monotonicMs();
    const before = this.#buckets.get(host) ?? { tokens: this.#burst, atMs: nowMs };
    const tokens = Math.min(this.#burst, before.tokens + ((nowMs - before.atMs) / 1000) * this.#perSecond);
    this.#buckets.set(host, { tokens: Math.max(0, tokens - 1), atMs: nowMs });
    if (tokens >= 1) return;
    const waitS = Math.max(1, Math.ceil(1 / this.#perSecond));
    throw new AshlarError(
      "limit",
      `too many requests from ${host}: try again in ${waitS === 1 ? "a second" : `${waitS} seconds`}`,
    );
  }
}
