import { readWord } from "./frame-reader.js";
import { type EngineLimits, TokenBucket } from "./limits.js";
import { errorCode } from "./protocol.js";
import { refusal } from "./refusals.js";
import type { Stream } from "./stream.js";

const smallFrame = 256;
/** The flag byte and the four length bytes before each gRPC message. */
const prefixBytes = 5;
/**
 * A stream that lived this long took its place among those that may be open at once, so its end is no part of a flood.
 */
const youngMs = 50;
/** How many frames for a stream may still be on their way when we reset it. */
const lateFramesPerReset = 100;
const lateFramesMax = 100_000;
const earnedByRequest = 2;
const earnedByData = 20;

/**
 * Limits what a peer may do too often, with a budget for each action. Every method that returns a number returns 0, or
 * the reason (refusals.ts) for which the caller must end the connection with ENHANCE_YOUR_CALM.
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
  readonly #smallPerMs: number;
  /** How many WINDOW_UPDATE frames the calls and DATA frames so far account for. */
  #earned = 0;
  #windowUpdates: number;
  #lateFrames = lateFramesPerReset;
  #lastPingMs = Number.NEGATIVE_INFINITY;
  #earnedAtPing = 0;
  #pingStrikes = 0;
  /** DATA frames that were sent and that no PING has answered yet, up to the burst of PINGs. */
  #unansweredData = 0;
  #unansweredSinceMs = 0;

  constructor(limits: EngineLimits, nowMs: number) {
    this.#limits = limits;
    this.#peerResets = new TokenBucket(limits.peerResets, nowMs);
    this.#ownResets = new TokenBucket(limits.ownResets, nowMs);
    this.#glitches = new TokenBucket(limits.glitches, nowMs);
    this.#settings = new TokenBucket(limits.settings, nowMs);
    this.#pings = new TokenBucket(limits.pings, nowMs);
    this.#priorities = new TokenBucket(limits.priorities, nowMs);
    this.#emptyData = new TokenBucket(limits.emptyData, nowMs);
    this.#smallData = new TokenBucket(limits.smallDataTogether, nowMs);
    this.#smallPerMs = limits.smallData.perSecond / 1000;
    this.#windowUpdates = -limits.windowUpdatesSpare;
  }

  request(): void {
    this.#earned += earnedByRequest;
  }

  dataSent(): void {
    this.#earned += earnedByData;
  }

  /** Charges the reset of a young stream, whichever side sends the reset. */
  reset(stream: Stream, nowMs: number): number {
    const cost = 1 - (nowMs - stream.openedAtMs) / youngMs;
    return cost <= 0 || this.#peerResets.take(cost, nowMs) ? 0 : refusal.peer_resets;
  }

  /**
   * Charges a stream that we reset. One that is refused because too many are open counts as reset by the peer as well:
   * a peer that resets streams as fast as it opens them has one budget, however many are refused while others end.
   */
  ownReset(code: number, nowMs: number): number {
    const reason = this.#ownResets.take(1, nowMs) ? 0 : refusal.own_resets;
    if (code !== errorCode.refusedStream || this.#peerResets.take(1, nowMs)) return reason;
    return refusal.peer_resets;
  }

  /** Allows for the frames that may be on their way to a stream that we reset. */
  expectLate(): void {
    this.#lateFrames = Math.min(this.#lateFrames + lateFramesPerReset, lateFramesMax);
  }

  /** Charges a frame that arrives for a stream that we reset. */
  late(nowMs: number): number {
    if (this.#lateFrames === 0) return this.glitch(nowMs);
    this.#lateFrames--;
    return 0;
  }

  /** Charges a reset that arrives for a stream that is over: the reset and the end crossed. */
  lateReset(nowMs: number): number {
    return this.windowUpdate() === 0 ? 0 : this.glitch(nowMs);
  }

  glitch(nowMs: number): number {
    return this.#glitches.take(1, nowMs) ? 0 : refusal.glitches;
  }

  settings(nowMs: number): number {
    return this.#settings.take(1, nowMs) ? 0 : refusal.settings_rate;
  }

  /**
   * Charges a PING. A server also counts strikes, as gRPC's servers do: PINGs without traffic before them. A client that
   * answers each DATA frame with a PING is fair, and its PINGs come several in a read where the frames went out so.
   */
  ping(nowMs: number, server: boolean): number {
    const earned = this.#earned - this.#earnedAtPing;
    this.#earnedAtPing = this.#earned;
    if (earned > 0) {
      this.#pings.giveBack(earned / earnedByData);
      this.#pingStrikes = 0;
      this.#unansweredData = Math.min(this.#unansweredData + earned / earnedByData, this.#limits.pings.burst);
      this.#unansweredSinceMs = nowMs;
    }
    if (!this.#pings.take(1, nowMs)) return refusal.ping_rate;
    if (!server || this.#limits.pingIntervalMinMs === 0) return 0;
    const tooSoon = nowMs - this.#lastPingMs < this.#limits.pingIntervalMinMs;
    this.#lastPingMs = nowMs;
    const answers = this.#unansweredData >= 1 && nowMs - this.#unansweredSinceMs < this.#limits.pingIntervalMinMs;
    this.#unansweredData = Math.max(0, this.#unansweredData - 1);
    if (!tooSoon || earned > 0 || answers) return 0;
    return ++this.#pingStrikes > this.#limits.pingStrikesMax ? refusal.ping_strikes : 0;
  }

  priority(nowMs: number): number {
    return this.#priorities.take(1, nowMs) ? 0 : refusal.priority_rate;
  }

  windowUpdate(): number {
    return ++this.#windowUpdates > this.#earned ? refusal.window_updates : 0;
  }

  /**
   * Charges a DATA frame of `length` payload bytes that completed `messages` messages. For `small_data` the caller ends
   * only the stream.
   */
  data(stream: Stream, length: number, messages: number, endStream: boolean, nowMs: number): number {
    if (length === 0) {
      if (endStream) return 0;
      if (++stream.emptyData > this.#limits.emptyDataConsecutiveMax) return refusal.empty_data;
      return this.#emptyData.take(1, nowMs) ? 0 : refusal.empty_data;
    }
    stream.emptyData = 0;
    if (messages > 0) {
      // A message in two frames is fair. One byte at a time is not, even when every fifth byte completes a message.
      if (stream.messageCharge > 0) this.#giveBack(stream, Math.min(stream.messageCharge, smallFrame));
      stream.messageCharge = 0;
      return 0;
    }
    if (length >= 2 * smallFrame) {
      // Proxies cut frames where their reads end, so a large frame pays for one small remainder between large frames.
      if (stream.smallCharge > 0) this.#giveBack(stream, smallFrame);
      return 0;
    }
    if (length >= smallFrame || endStream) return 0;
    const cost = smallFrame - length;
    stream.messageCharge += cost;
    const paidOff = (nowMs - stream.smallChargedMs) * this.#smallPerMs;
    stream.smallCharge = Math.max(0, stream.smallCharge - paidOff) + cost;
    stream.smallChargedMs = nowMs;
    const isFair = stream.smallCharge <= this.#limits.smallData.burst && this.#smallData.take(cost, nowMs);
    return isFair ? 0 : refusal.small_data;
  }

  #giveBack(stream: Stream, bytes: number): void {
    stream.smallCharge = Math.max(0, stream.smallCharge - bytes);
    this.#smallData.giveBack(bytes);
  }
}

/**
 * Follows gRPC's length-prefixed messages through `bytes[start, end)` and returns how many of them end there. Sets
 * `stream.oversized` when a message is longer than `bytesMax`.
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
    if (stream.prefixSeen === 0 && end - at >= prefixBytes) {
      // The usual case: the whole prefix is in `bytes`.
      const length = readWord(bytes, at + 1);
      at += prefixBytes;
      if (length > bytesMax) stream.oversized = true;
      if (length === 0) messages++;
      else stream.messageLeft = length;
      continue;
    }
    while (stream.prefixSeen < prefixBytes && at < end) {
      if (stream.prefixSeen++ > 0) stream.prefixValue = stream.prefixValue * 256 + (bytes[at] as number);
      at++;
    }
    if (stream.prefixSeen < prefixBytes) break;
    stream.messageLeft = stream.prefixValue;
    if (stream.messageLeft > bytesMax) stream.oversized = true;
    stream.prefixSeen = 0;
    stream.prefixValue = 0;
    if (stream.messageLeft === 0) messages++;
  }
  return messages;
}
