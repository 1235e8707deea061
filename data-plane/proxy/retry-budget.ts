import { TokenBucket } from "../http2/limits.js";

/** Each call earns this share of a retry. */
const share = 0.2;
/** What calls have earned is good for once to twice as long: a quiet hour pays for no storm. */
const goodMs = 10_000;
/** Beside what was earned, so that a proxy with few calls can retry at all. */
const base = { burst: 10, perSecond: 10 };

/** The first try and the retries that are surely safe. */
const attemptsMax = 3;
/** Where each was on a connection that the other side ended in order: it is the connection that is meant, not the call. */
const attemptsMaxLeaving = 10;

/** Whether a call that was surely not processed is sent again. `isLeaving`: its connection takes no calls any more. */
export function mayRetry(
  attempts: number,
  isLeaving: boolean,
  { retries, loop }: { readonly retries: RetryBudget; readonly loop: { time(): number } },
): boolean {
  return isLeaving ? attempts < attemptsMaxLeaving : attempts < attemptsMax && retries.take(loop.time());
}

/** Bounds how many calls a proxy sends again: a fifth of the calls and ten a second, so that retries make no overload worse. */
export class RetryBudget {
  readonly #base: TokenBucket;
  #sinceMs: number;
  #earned = 0;
  #earnedBefore = 0;
  /** Retries that were not made for want of budget. */
  refused = 0;

  constructor(nowMs: number) {
    this.#base = new TokenBucket(base, nowMs);
    this.#sinceMs = nowMs;
  }

  /** A call began. */
  earn(nowMs: number): void {
    this.#roll(nowMs);
    this.#earned += share;
  }

  /** Whether one more call may be sent again. */
  take(nowMs: number): boolean {
    this.#roll(nowMs);
    if (this.#earnedBefore + this.#earned >= 1) {
      const before = Math.min(1, this.#earnedBefore);
      this.#earnedBefore -= before;
      this.#earned -= 1 - before;
      return true;
    }
    if (this.#base.take(1, nowMs)) return true;
    this.refused++;
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
