import { TokenBucket } from "../http2/limits.js";

/** Each call earns this share of a retry. */
const share = 0.2;
/** What calls have earned is kept up to this many retries: about what a burst of refusals may need. */
const earnedMax = 1000;
/** Beside what was earned, so that a proxy with few calls can retry at all. */
const base = { burst: 10, perSecond: 10 };

/** Bounds how many calls a proxy sends again: a fifth of the calls and ten a second, so that retries make no overload worse. */
export class RetryBudget {
  readonly #base: TokenBucket;
  #earned = 0;
  /** Retries that were not made for want of budget. */
  refused = 0;

  constructor(nowMs: number) {
    this.#base = new TokenBucket(base, nowMs);
  }

  /** A call began. */
  earn(): void {
    if (this.#earned < earnedMax) this.#earned += share;
  }

  /** Whether one more call may be sent again. */
  take(nowMs: number): boolean {
    if (this.#earned >= 1) {
      this.#earned -= 1;
      return true;
    }
    if (this.#base.take(1, nowMs)) return true;
    this.refused++;
    return false;
  }
}
