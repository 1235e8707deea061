/** Bounds how many calls to one destination are sent again: a share of its calls and a few a second, so that retries make no overload worse. */

/** What calls have earned is good for once to twice as long: a quiet hour pays for no storm. */
const goodMs = 10_000;
/** One retry, in the unit of shares. */
const one = 10_000;

export interface RetryBudgetOptions {
  /** What each call earns of a retry, in hundredths of a percent: whole numbers do not add up to a little less. */
  readonly share: number;
  /** Retries a second beside what was earned, so that a proxy with few calls can retry at all. */
  readonly perSecond: number;
}

export const defaultRetryBudget: RetryBudgetOptions = { share: 2000, perSecond: 10 };

export class DestinationBudget {
  #options: RetryBudgetOptions;
  #sinceMs: number;
  #earned = 0;
  #earnedBefore = 0;
  #free: number;
  #freeAtMs: number;
  /** Retries that were not made for want of budget. */
  refused = 0;
  readonly #sum: { refused: number } | undefined;

  /** `sum` counts the refused retries of several budgets. */
  constructor(options: RetryBudgetOptions, nowMs: number, sum?: { refused: number }) {
    this.#options = options;
    this.#sum = sum;
    this.#sinceMs = nowMs;
    this.#free = options.perSecond;
    this.#freeAtMs = nowMs;
  }

  set options(options: RetryBudgetOptions) {
    this.#options = options;
  }

  /** A call began. */
  earn(nowMs: number): void {
    this.#roll(nowMs);
    this.#earned += this.#options.share;
  }

  /** Whether one more call may be sent again. */
  take(nowMs: number): boolean {
    this.#roll(nowMs);
    if (this.#earnedBefore + this.#earned >= one) {
      const before = Math.min(one, this.#earnedBefore);
      this.#earnedBefore -= before;
      this.#earned -= one - before;
      return true;
    }
    const { perSecond } = this.#options;
    this.#free = Math.min(perSecond, this.#free + ((nowMs - this.#freeAtMs) * perSecond) / 1000);
    this.#freeAtMs = nowMs;
    if (this.#free >= 1) {
      this.#free--;
      return true;
    }
    this.refused++;
    if (this.#sum !== undefined) this.#sum.refused++;
    return false;
  }

  #roll(nowMs: number): void {
    const passedMs = nowMs - this.#sinceMs;
    if (passedMs < goodMs) return;
    this.#earnedBefore = passedMs < 2 * goodMs ? this.#earned : 0;
    this.#earned = 0;
    this.#sinceMs = nowMs;
  }
}
