/**
 * Bounds the cost of verification. Statements in one proxy's name are verified up to 100 times a second, or ten times
 * if they fail; under certificates that are not known yet 50 times in vain, and in all names together 500 times. Pure:
 * the time is an argument.
 */
const perNameMax = 100;
const strangersMax = 500;
const failureCost = 10;
/**
 * The factor above which even a plausible next link is not verified: somebody who saw a link that did not arrive here
 * could send many forgeries with it.
 */
const exhaustedFactor = 10;

/** The name under which all certificates that are not known yet are counted. */
export const strangers = "";
const maxOf = (name: string): number => (name === strangers ? strangersMax : perNameMax);

const allFailuresMax = 500;
const windowMs = 1000;
const namesMax = 20_000;
/** The milliseconds after a budget was used up during which a proxy's silence proves nothing. */
const doubtMs = 3000;

interface Window {
  startMs: number;
  spent: number;
  fullMs: number;
}

const begin = (startMs: number): Window => ({ startMs, spent: 0, fullMs: Number.NEGATIVE_INFINITY });

export class VerifyBudget {
  readonly #names = new Map<string, Window>();
  readonly #all = begin(Number.NEGATIVE_INFINITY);

  /** Returns whether nothing in this name is verified now. */
  isSpent(name: string, nowMs: number): boolean {
    const window = this.#names.get(name);
    return isSpent(this.#all, allFailuresMax, nowMs) || (window !== undefined && isSpent(window, maxOf(name), nowMs));
  }

  /** Returns whether not even a statement with a plausible next link is verified. */
  isExhausted(name: string, nowMs: number): boolean {
    const window = this.#names.get(name);
    return window !== undefined && isSpent(window, exhaustedFactor * maxOf(name), nowMs);
  }

  /** Returns whether something in this name may have gone unheard in the last seconds. */
  isDoubtful(name: string, nowMs: number): boolean {
    const fullMs = [name, strangers].map((one) => this.#names.get(one)?.fullMs ?? Number.NEGATIVE_INFINITY);
    return nowMs - Math.max(this.#all.fullMs, ...fullMs) < doubtMs;
  }

  /** Charges one verification to this name; `held`: whether it succeeded. */
  spend(name: string, nowMs: number, held: boolean): void {
    let window = this.#names.get(name);
    if (window === undefined) {
      if (this.#names.size >= namesMax) this.#names.clear(); // failures are also bounded in all names together
      window = begin(nowMs);
      this.#names.set(name, window);
    }
    add(window, held ? 1 : failureCost, maxOf(name), nowMs);
    if (!held) add(this.#all, 1, allFailuresMax, nowMs);
  }
}

function add(window: Window, cost: number, max: number, nowMs: number): void {
  if (nowMs - window.startMs >= windowMs) {
    window.startMs = nowMs;
    window.spent = 0;
  }
  window.spent += cost;
  if (window.spent >= max) window.fullMs = nowMs;
}

function isSpent(window: Window, max: number, nowMs: number): boolean {
  return window.spent >= max && nowMs - window.startMs < windowMs;
}
