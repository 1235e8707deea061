import { type EngineLimits, TokenBucket } from "./limits.js";
import { refusal } from "./refusals.js";
import type { Stream } from "./stream.js";

const smallFrame = 256;
const ratioWindowMs = 1000;

/**
 * What a peer may do too much of, each with its own budget. Every method returns 0, or the reason
 * (refusals.ts) for which the connection is to end with ENHANCE_YOUR_CALM.
 */
export class AbuseMeter {
  readonly #limits: EngineLimits;
  readonly #peerResets: TokenBucket;
  readonly #ownResets: TokenBucket;
  readonly #glitches: TokenBucket;
  readonly #settings: TokenBucket;
  readonly #pings: TokenBucket;
  readonly #priorities: TokenBucket;
  readonly #emptyData: TokenBucket;
  readonly #smallData: TokenBucket;
  #windowUpdates = 0;
  #windowUpdatesEarned = 5;
  #ratioSinceMs: number;
  #ratioRequests = 0;
  #ratioResets = 0;
  #lastPingMs = Number.NEGATIVE_INFINITY;
  #pingStrikes = 0;

  constructor(limits: EngineLimits, nowMs: number) {
    this.#limits = limits;
    this.#peerResets = new TokenBucket(limits.peerResets, nowMs);
    this.#ownResets = new TokenBucket(limits.ownResets, nowMs);
    this.#glitches = new TokenBucket(limits.glitches, nowMs);
    this.#settings = new TokenBucket(limits.settings, nowMs);
    this.#pings = new TokenBucket(limits.pings, nowMs);
    this.#priorities = new TokenBucket(limits.priorities, nowMs);
    this.#emptyData = new TokenBucket(limits.emptyData, nowMs);
    this.#smallData = new TokenBucket(limits.smallData, nowMs);
    this.#ratioSinceMs = nowMs;
  }

  request(nowMs: number): void {
    this.#windowUpdatesEarned += 2;
    this.#rollRatio(nowMs);
    this.#ratioRequests++;
  }

  dataSent(): void {
    this.#windowUpdatesEarned += 20;
    this.#pingStrikes = 0;
    this.#lastPingMs = Number.NEGATIVE_INFINITY;
  }

  #rollRatio(nowMs: number): void {
    if (nowMs - this.#ratioSinceMs < ratioWindowMs) return;
    this.#ratioSinceMs = nowMs;
    this.#ratioRequests = 0;
    this.#ratioResets = 0;
  }

  peerReset(stream: Stream | null, nowMs: number): number {
    if (!this.#peerResets.take(1, nowMs)) return refusal.peer_resets;
    this.#rollRatio(nowMs);
    if (stream !== null && nowMs - stream.openedAtMs < ratioWindowMs) this.#ratioResets++;
    const many = this.#ratioRequests >= this.#limits.resetRatioRequests && this.#ratioResets * 2 > this.#ratioRequests;
    return many ? refusal.reset_ratio : 0;
  }

  ownReset(nowMs: number): number {
    return this.#ownResets.take(1, nowMs) ? 0 : refusal.own_resets;
  }

  glitch(nowMs: number): number {
    return this.#glitches.take(1, nowMs) ? 0 : refusal.glitches;
  }

  settings(nowMs: number): number {
    return this.#settings.take(1, nowMs) ? 0 : refusal.settings_rate;
  }

  ping(nowMs: number, server: boolean): number {
    if (!this.#pings.take(1, nowMs)) return refusal.ping_rate;
    if (!server || this.#limits.pingIntervalMinMs === 0) return 0;
    const tooSoon = nowMs - this.#lastPingMs < this.#limits.pingIntervalMinMs;
    this.#lastPingMs = nowMs;
    return tooSoon && ++this.#pingStrikes > this.#limits.pingStrikesMax ? refusal.ping_strikes : 0;
  }

  priority(nowMs: number): number {
    return this.#priorities.take(1, nowMs) ? 0 : refusal.priority_rate;
  }

  windowUpdate(): number {
    return ++this.#windowUpdates > this.#windowUpdatesEarned ? refusal.window_updates : 0;
  }

  /** A DATA frame of `length` bytes came to its end; `messages` is how many messages it completed. */
  data(stream: Stream, length: number, messages: number, endStream: boolean, nowMs: number): number {
    if (length === 0) {
      if (endStream) return 0;
      if (++stream.emptyData > this.#limits.emptyDataConsecutiveMax) return refusal.empty_data;
      return this.#emptyData.take(1, nowMs) ? 0 : refusal.empty_data;
    }
    stream.emptyData = 0;
    if (messages > 0) {
      // A message in two frames is fair; one byte at a time is not, even when each fifth byte ends a message.
      if (stream.messageCharge > 0) this.#smallData.giveBack(Math.min(stream.messageCharge, smallFrame));
      stream.messageCharge = 0;
      return 0;
    }
    if (length >= 2 * smallFrame) {
      // Proxies cut frames where their reads end: large frames make up for what is left over between them.
      this.#smallData.giveBack(smallFrame);
      return 0;
    }
    if (length >= smallFrame || endStream) return 0;
    const cost = smallFrame - length;
    stream.messageCharge += cost;
    return this.#smallData.take(cost, nowMs) ? 0 : refusal.small_data;
  }
}

/**
 * Follows gRPC's length-prefixed messages through `bytes` and returns how many end in it. Says in `stream.oversized`
 * that one is longer than `bytesMax`.
 */
export function countMessages(stream: Stream, bytes: Uint8Array, start: number, end: number, bytesMax: number): number {
  let messages = 0;
  let at = start;
  while (at < end) {
    if (stream.messageLeft > 0) {
      const take = Math.min(stream.messageLeft, end - at);
      stream.messageLeft -= take;
      at += take;
      if (stream.messageLeft === 0) messages++;
      continue;
    }
    while (stream.prefixSeen < 5 && at < end) {
      if (stream.prefixSeen++ > 0) stream.prefixValue = stream.prefixValue * 256 + (bytes[at] as number);
      at++;
    }
    if (stream.prefixSeen < 5) break;
    stream.messageLeft = stream.prefixValue;
    if (stream.messageLeft > bytesMax) stream.oversized = true;
    stream.prefixSeen = 0;
    stream.prefixValue = 0;
    if (stream.messageLeft === 0) messages++;
  }
  return messages;
}
