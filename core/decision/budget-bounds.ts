/**
 * Keeps the least and the most tokens that can be left in a bucket when not all calls that drew on it are known. If all
 * calls are known, both are equal to the level of the proxy's own bucket.
 */
import type { Limit } from "../kinds/rate-limit/rate-limit.js";
import { keysMaxOfLimit, roundingTokens } from "../limit/limiter.js";

/** The level of a bucket, known between two bounds, in tokens. */
export interface LevelBounds {
  least: number;
  most: number;
  /** The time at which `least` was computed. If it is later than the current call, nothing is known until then. */
  leastAtMs: number;
  mostAtMs: number;
}

export class BudgetBounds {
  readonly #tokensPerMs: number;
  readonly #burst: number;
  readonly #levels = new Map<string, LevelBounds>();
  #blindUntilMs = Number.NEGATIVE_INFINITY;

  constructor({ rate, burst }: Limit) {
    this.#tokensPerMs = rate.tokens / rate.periodMs;
    this.#burst = burst;
  }

  /**
   * Returns the bucket of `key`, filled up to `nowMs`, or undefined if time went back or there is no room for more
   * keys.
   */
  touch(key: string, nowMs: number): LevelBounds | undefined {
    const level = this.#levels.get(key) ?? this.#open(key, nowMs);
    if (level === undefined || nowMs < level.mostAtMs) return undefined;
    level.most = this.#filled(level.most, nowMs - level.mostAtMs);
    level.mostAtMs = nowMs;
    if (level.leastAtMs < this.#blindUntilMs) {
      level.least = 0;
      level.leastAtMs = this.#blindUntilMs;
    }
    if (level.leastAtMs < nowMs) {
      level.least = this.#filled(level.least, nowMs - level.leastAtMs);
      level.leastAtMs = nowMs;
    }
    return level;
  }

  /** Notes that until `untilMs` an unknown number of calls may have drawn on any key. */
  blind(untilMs: number): void {
    this.#blindUntilMs = Math.max(this.#blindUntilMs, untilMs);
  }

  /** Returns the most tokens that calls of this cost can have taken within `elapsedMs`. */
  passedMax(cost: number, elapsedMs: number): number {
    return Math.floor((this.#burst + elapsedMs * this.#tokensPerMs) / cost + roundingTokens);
  }

  #open(key: string, nowMs: number): LevelBounds | undefined {
    if (this.#levels.size >= keysMaxOfLimit) return undefined;
    const level = { least: this.#burst, most: this.#burst, leastAtMs: nowMs, mostAtMs: nowMs };
    this.#levels.set(key, level);
    return level;
  }

  #filled(level: number, elapsedMs: number): number {
    return Math.min(this.#burst, level + elapsedMs * this.#tokensPerMs);
  }
}

export function surelyHas({ least }: LevelBounds, tokens: number): boolean {
  return least + roundingTokens >= tokens;
}

export function surelyLacks({ most }: LevelBounds, tokens: number): boolean {
  return most + roundingTokens < tokens;
}

/** Subtracts tokens that were certainly taken. */
export function take(level: LevelBounds, tokens: number): void {
  level.least = Math.max(0, level.least - tokens);
  level.most = Math.max(0, level.most - tokens);
}

/** Subtracts tokens that may have been taken. */
export function perhapsTake(level: LevelBounds, tokens: number): void {
  level.least = Math.max(0, level.least - tokens);
}

/** Notes that calls were limited by this bucket alone: less than the cost of one call was left. */
export function takeIfThere(level: LevelBounds, cost: number, calls: number): void {
  perhapsTake(level, cost);
  level.most = Math.max(level.most - cost * calls, Math.min(level.most, cost - 2 * roundingTokens));
}
