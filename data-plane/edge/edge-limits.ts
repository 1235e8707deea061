/** How much of a listener one address, or one token, may take. */
import type { EdgeLimits as StatedLimits } from "../../core/kinds/gateway/gateway.js";
import { BucketTable } from "../../core/limit/bucket-table.js";

type Rate = NonNullable<StatedLimits["callsPerAddress"]>;

const keysMax = 100_000;
const connectionsUsual = 100;
const handshakesUsual: Rate = { tokens: 50, periodMs: 1000 };

/** Buckets of one rate; unused without one. */
class Buckets {
  #rate: Rate | undefined;
  #table: BucketTable | undefined;

  follow(rate: Rate | undefined): void {
    const [now, before] = [rate, this.#rate];
    if (now?.tokens === before?.tokens && now?.periodMs === before?.periodMs) return;
    this.#rate = rate;
    const burst = rate === undefined ? 0 : Math.max(1, Math.ceil((rate.tokens * 1000) / rate.periodMs));
    this.#table = rate && new BucketTable(rate.tokens / rate.periodMs, burst, keysMax);
  }

  /** Takes one token of `key`. Returns 0, or the milliseconds until there is one. */
  take(key: string, nowMs: number): number {
    if (this.#table === undefined || this.#rate === undefined) return 0;
    const slot = this.#table.touch(key, nowMs);
    const level = this.#table.levelOf(slot);
    if (level < 1) return Math.ceil(((1 - level) * this.#rate.periodMs) / this.#rate.tokens);
    this.#table.take(slot, 1);
    return 0;
  }
}

/** The limits of one listener. Times are in milliseconds of a clock that never goes back. */
export class EdgeLimiter {
  readonly #open = new Map<string, number>();
  readonly #handshakes = new Buckets();
  readonly #calls = new Buckets();
  readonly #tokens = new Buckets();
  #connectionsMax = connectionsUsual;

  constructor() {
    this.follow(undefined);
  }

  /** Applies what policy says. */
  follow(limits: StatedLimits | undefined): void {
    this.#connectionsMax = limits?.connectionsPerAddress ?? connectionsUsual;
    this.#handshakes.follow(limits?.handshakesPerAddress ?? handshakesUsual);
    this.#calls.follow(limits?.callsPerAddress);
    this.#tokens.follow(limits?.callsPerToken);
  }

  /** Counts a connection of `address`. Returns false if it is one too many: then it must be closed, and is not counted. */
  opens(address: string, nowMs: number): boolean {
    const open = this.#open.get(address) ?? 0;
    if (open >= this.#connectionsMax || this.#handshakes.take(address, nowMs) > 0) return false;
    this.#open.set(address, open + 1);
    return true;
  }

  closed(address: string): void {
    const left = (this.#open.get(address) ?? 1) - 1;
    if (left > 0) this.#open.set(address, left);
    else this.#open.delete(address);
  }

  /** Returns 0 if a call of `address` may pass, or after how many milliseconds it may. */
  waitOfCall(address: string, nowMs: number): number {
    return this.#calls.take(address, nowMs);
  }

  /** The same for a call with a token. */
  waitOfToken(token: string, nowMs: number): number {
    return this.#tokens.take(token, nowMs);
  }
}
