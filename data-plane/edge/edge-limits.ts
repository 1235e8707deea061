/**
 * Limits on what one address (for IPv6 one /64, which one subscriber owns completely) or one token may take of a
 * listener.
 */
import { createHash } from "node:crypto";
import type { EdgeLimits as StatedLimits } from "../../core/kinds/gateway/gateway.js";
import { BucketTable } from "../../core/limit/bucket-table.js";
import { networkOf } from "../../runtime/connection-gate.js";

type Rate = NonNullable<StatedLimits["callsPerAddress"]>;

const keysMax = 100_000;
const connectionsUsual = 100;
const handshakesUsual: Rate = { tokens: 50, periodMs: 1000 };

/** Converts a rate in KiB to bytes; what one period brings may be taken at once. */
const inBytes = (rate: Rate | undefined): Rate | undefined => rate && { ...rate, tokens: rate.tokens * 1024 };
/**
 * The connections of all addresses together may come in bursts of this many milliseconds, because each costs a
 * handshake.
 */
const handshakesAtOnceMs = 200;

/** The buckets of one rate; unused if there is no rate. */
class Buckets {
  #rate: Rate | undefined;
  #table: BucketTable | undefined;
  #burst = 0;

  /** `burstMs`: the tokens that come back in this many milliseconds may be taken at once. */
  follow(rate: Rate | undefined, burstMs = 1000): void {
    const [now, before] = [rate, this.#rate];
    if (now?.tokens === before?.tokens && now?.periodMs === before?.periodMs) return;
    this.#rate = rate;
    this.#burst = rate === undefined ? 0 : Math.max(1, Math.ceil((rate.tokens * burstMs) / rate.periodMs));
    this.#table = rate && new BucketTable(rate.tokens / rate.periodMs, this.#burst, keysMax);
  }

  get isStated(): boolean {
    return this.#rate !== undefined;
  }

  /**
   * Takes `cost` tokens of `key` if it has that many, or as many as a bucket can hold; the rest is owed. Returns 0, or
   * the milliseconds until then.
   */
  take(key: string, nowMs: number, cost: number): number {
    if (this.#table === undefined) return 0;
    const slot = this.#table.touch(key, nowMs);
    const waitMs = this.#table.waitMs(slot, Math.min(cost, this.#burst));
    if (waitMs > 0) return Math.ceil(waitMs);
    this.#table.take(slot, cost);
    return 0;
  }

  /** Takes `cost` tokens of `key`, whether or not it has them. Returns whether it now owes more than a whole burst. */
  charge(key: string, nowMs: number, cost: number): boolean {
    if (this.#table === undefined) return false;
    const slot = this.#table.touch(key, nowMs);
    this.#table.take(slot, cost);
    return this.#table.levelOf(slot) < -this.#burst;
  }
}

/** Whose limit a connection exceeds: that of its address, or that of the whole listener. */
export type TurnedAway = "address" | "listener";

/**
 * Counts bytes of a call's messages. Returns the limit because of which the call must end, if it owes more than a
 * period brings.
 */
export type ByteMeter = (bytes: number, nowMs: number) => "kibPerAddress" | "kibPerToken" | undefined;

/** The limits of one listener. Times are in milliseconds of a clock that never goes back. */
export class EdgeLimiter {
  readonly #open = new Map<string, number>();
  /** The number of workers at which a network has connections, where there are several. */
  readonly #spread = new Map<string, number>();
  readonly #handshakes = new Buckets();
  readonly #calls = new Buckets();
  readonly #tokens = new Buckets();
  readonly #bytes = new Buckets();
  readonly #tokenBytes = new Buckets();
  readonly #listener = new Buckets();
  readonly #isAdmitted: boolean;
  #connectionsMax = connectionsUsual;
  #listenerMax = Number.POSITIVE_INFINITY;
  /** The number of open connections that were admitted. */
  #all = 0;

  /**
   * `isAdmitted`: whether another process has counted the listener's connections. Those that waited while this process
   * was busy come all at once, and must not be taken for a flood.
   */
  constructor(isAdmitted = false) {
    this.#isAdmitted = isAdmitted;
    this.follow(undefined);
  }

  /** Applies the limits that policy states. */
  follow(limits: StatedLimits | undefined): void {
    this.#connectionsMax = limits?.connectionsPerAddress ?? connectionsUsual;
    this.#handshakes.follow(limits?.handshakesPerAddress ?? handshakesUsual);
    this.#calls.follow(limits?.callsPerAddress);
    this.#tokens.follow(limits?.callsPerToken);
    this.#bytes.follow(inBytes(limits?.kibPerAddress), limits?.kibPerAddress?.periodMs);
    this.#tokenBytes.follow(inBytes(limits?.kibPerToken), limits?.kibPerToken?.periodMs);
    const all = this.#isAdmitted ? undefined : limits;
    this.#listener.follow(all?.handshakes, handshakesAtOnceMs);
    this.#listenerMax = all?.connections ?? Number.POSITIVE_INFINITY;
  }

  /**
   * Counts a connection of `address`; undefined: of a forwarding hop, which counts for the listener only. Returns
   * undefined, or whose limit it exceeds; it must then be closed and is not counted. `all`: the listener's open
   * connections, if another process counts them.
   */
  opens(address: string | undefined, nowMs: number, all = this.#all): TurnedAway | undefined {
    const network = address === undefined ? undefined : networkOf(address);
    const open = network === undefined ? 0 : (this.#open.get(network) ?? 0);
    // first, so that the excess connections of one address take nothing from the others
    if (network !== undefined && (open >= this.#connectionsMax || this.#handshakes.take(network, nowMs, 1) > 0))
      return "address";
    if (all >= this.#listenerMax || this.#listener.take("", nowMs, 1) > 0) return "listener";
    if (network !== undefined) this.#open.set(network, open + 1);
    this.#all += 1;
    return undefined;
  }

  /** Notes that a counted connection has closed. */
  closed(address: string | undefined): void {
    this.#all -= 1;
    if (address === undefined) return;
    const network = networkOf(address);
    const left = (this.#open.get(network) ?? 1) - 1;
    if (left > 0) this.#open.set(network, left);
    else this.#open.delete(network);
  }

  /**
   * Notes that the network of `address` has connections at this many workers: a call at one of them counts as many
   * times, so that all workers together count each once.
   */
  spread(address: string, workers: number): void {
    const network = networkOf(address);
    if (workers > 1) this.#spread.set(network, workers);
    else this.#spread.delete(network);
  }

  /** Returns 0 if a call of `address` may pass, or the milliseconds after which it may. */
  waitOfCall(address: string, nowMs: number): number {
    if (!this.#calls.isStated) return 0;
    const network = networkOf(address);
    return this.#calls.take(network, nowMs, this.#spread.get(network) ?? 1);
  }

  /** Returns the same for a call of `address` with a valid token. `authorization`: the header with the token. */
  waitOfToken(authorization: string, address: string, nowMs: number): number {
    if (!this.#tokens.isStated) return 0;
    return this.#tokens.take(tokenKey(authorization), nowMs, this.#spread.get(networkOf(address)) ?? 1);
  }

  /** Returns 0 if `address` has bytes left, or the milliseconds after which it has. */
  waitOfBytes(address: string, nowMs: number): number {
    return this.#bytes.isStated ? this.#bytes.take(networkOf(address), nowMs, 0) : 0;
  }

  /** Returns the same for a valid token. */
  waitOfTokenBytes(authorization: string, nowMs: number): number {
    return this.#tokenBytes.isStated ? this.#tokenBytes.take(tokenKey(authorization), nowMs, 0) : 0;
  }

  /**
   * Returns the meter for the bytes of a call's messages, or undefined if they are not limited. `authorization`: the
   * header with a valid token; undefined: none is required.
   */
  meter(address: string, authorization: string | undefined): ByteMeter | undefined {
    const byAddress = this.#bytes.isStated;
    const token = authorization !== undefined && this.#tokenBytes.isStated ? tokenKey(authorization) : undefined;
    if (!byAddress && token === undefined) return undefined;
    const network = networkOf(address);
    return (bytes, nowMs) => {
      const cost = bytes * (this.#spread.get(network) ?? 1);
      const isOver = byAddress && this.#bytes.charge(network, nowMs, cost);
      const isTokenOver = token !== undefined && this.#tokenBytes.charge(token, nowMs, cost);
      return isOver ? "kibPerAddress" : isTokenOver ? "kibPerToken" : undefined;
    };
  }
}

/** Returns whose turn a call takes where calls wait: its client's, as a certificate proved it, or that of its address' network. */
export const lineOf = (client: string | undefined, address: string): string => client ?? networkOf(address);

/**
 * Returns a digest of the part of a token that its issuer signed. The header itself would be no key: a client can write
 * the scheme, its spaces and the signature of one token in thousands of ways.
 */
function tokenKey(authorization: string): string {
  const signed = authorization.slice(authorization.lastIndexOf(" ") + 1, authorization.lastIndexOf("."));
  return createHash("sha256").update(signed).digest("base64url");
}
