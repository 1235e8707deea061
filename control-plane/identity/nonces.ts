import { BoundedMap } from "../../core/bounded-map.js";
import type { Clock } from "../../runtime/clock.js";

const nonceBytes = 32;
const lifetimeMs = 60_000;

/** Nonces that can be used once within a minute. If too many are unused, the oldest is removed. */
export class Nonces {
  readonly #clock: Clock;
  readonly #random: (count: number) => Uint8Array;
  /** Nonces, oldest first, with the time on the monotonic clock at which each expires. */
  readonly #live: BoundedMap<string, number>;

  constructor(clock: Clock, random: (count: number) => Uint8Array, countMax = 50_000) {
    this.#clock = clock;
    this.#random = random;
    this.#live = new BoundedMap(countMax);
  }

  create(): Uint8Array {
    const nowMs = this.#clock.monotonicMs();
    for (const [nonce, expiresMs] of this.#live) {
      if (expiresMs > nowMs) break;
      this.#live.delete(nonce);
    }
    const nonce = this.#random(nonceBytes);
    this.#live.set(Buffer.from(nonce).toString("hex"), nowMs + lifetimeMs);
    return nonce;
  }

  /** Returns whether `nonce` is valid, and uses it up. */
  take(nonce: Uint8Array): boolean {
    const key = Buffer.from(nonce).toString("hex");
    const expiresMs = this.#live.get(key);
    this.#live.delete(key);
    return expiresMs !== undefined && expiresMs > this.#clock.monotonicMs();
  }
}
