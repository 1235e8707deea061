/**
 * Bounds how many calls to one destination are sent again, so that retries make no overload worse: a share of its
 * calls, and a few a second.
 */

/**
 * What calls have earned lapses after 10 to 20 seconds, so that an hour without failures does not pay for a storm of
 * retries.
 */
const goodMs = 10_000;
/** What one retry costs, in hundredths of a percent of a call. */
const one = 10_000;

export interface RetryBudgetOptions {
  /** How much of a retry each call earns, in hundredths of a percent. Whole numbers add up without rounding errors. */
  readonly share: number;
  /** Retries a second that need not be earned, so that a proxy with few calls can retry too. */
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
  /** The number of retries that were not made because the budget was used up. */
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

  /** Notes that a call began. */
  earn(nowMs: number): void {
    this.#roll(nowMs);
    this.#earned += this.#options.share;
  }

  /** Pays for sending one call again. Returns false if the budget is used up. */
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
