/** How much of a listener one address (IPv6: one /64, which one subscriber has whole), or one token, may take. */
import { createHash } from "node:crypto";
import type { EdgeLimits as StatedLimits } from "../../core/kinds/gateway/gateway.js";
import { BucketTable } from "../../core/limit/bucket-table.js";
import { networkOf } from "../../runtime/connection-gate.js";

type Rate = NonNullable<StatedLimits["callsPerAddress"]>;

const keysMax = 100_000;
const connectionsUsual = 100;
const handshakesUsual: Rate = { tokens: 50, periodMs: 1000 };

/** Buckets of one rate; unused without one. */
class Buckets {
  #rate: Rate | undefined;
  #table: BucketTable | undefined;
  #burst = 0;

  follow(rate: Rate | undefined): void {
    const [now, before] = [rate, this.#rate];
    if (now?.tokens === before?.tokens && now?.periodMs === before?.periodMs) return;
    this.#rate = rate;
    this.#burst = rate === undefined ? 0 : Math.max(1, Math.ceil((rate.tokens * 1000) / rate.periodMs));
    this.#table = rate && new BucketTable(rate.tokens / rate.periodMs, this.#burst, keysMax);
  }

  get isStated(): boolean {
    return this.#rate !== undefined;
  }

  /**
   * Takes `cost` tokens of `key`, once it has as many, or as many as it ever has: what is more is owed. Returns 0, or the
   * milliseconds until then.
   */
  take(key: string, nowMs: number, cost: number): number {
    if (this.#table === undefined) return 0;
    const slot = this.#table.touch(key, nowMs);
    const waitMs = this.#table.waitMs(slot, Math.min(cost, this.#burst));
    if (waitMs > 0) return Math.ceil(waitMs);
    this.#table.take(slot, cost);
    return 0;
  }
}

/** The limits of one listener. Times are in milliseconds of a clock that never goes back. */
export class EdgeLimiter {
  readonly #open = new Map<string, number>();
  /** At how many workers a network has connections, where there are several. */
  readonly #spread = new Map<string, number>();
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
    const network = networkOf(address);
    const open = this.#open.get(network) ?? 0;
    if (open >= this.#connectionsMax || this.#handshakes.take(network, nowMs, 1) > 0) return false;
    this.#open.set(network, open + 1);
    return true;
  }

  closed(address: string): void {
    const network = networkOf(address);
    const left = (this.#open.get(network) ?? 1) - 1;
    if (left > 0) this.#open.set(network, left);
    else this.#open.delete(network);
  }

  /** The network of `address` has connections at so many workers: a call at one of them counts as many, so that all count once. */
  spread(address: string, workers: number): void {
    const network = networkOf(address);
    if (workers > 1) this.#spread.set(network, workers);
    else this.#spread.delete(network);
  }

  /** Returns 0 if a call of `address` may pass, or after how many milliseconds it may. */
  waitOfCall(address: string, nowMs: number): number {
    if (!this.#calls.isStated) return 0;
    const network = networkOf(address);
    return this.#calls.take(network, nowMs, this.#spread.get(network) ?? 1);
  }

  /** The same for a call of `address` with a token that is good. `authorization`: the header that brought it. */
  waitOfToken(authorization: string, address: string, nowMs: number): number {
    if (!this.#tokens.isStated) return 0;
    return this.#tokens.take(tokenKey(authorization), nowMs, this.#spread.get(networkOf(address)) ?? 1);
  }
}

/**
 * Returns a digest of what the issuer signed. The header itself is no key: a client may write the scheme, its spaces and
 * the signature of one token in thousands of ways.
 */
function tokenKey(authorization: string): string {
  const signed = authorization.slice(authorization.lastIndexOf(" ") + 1, authorization.lastIndexOf("."));
  return createHash("sha256").update(signed).digest("base64url");
}
