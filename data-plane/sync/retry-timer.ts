/** Schedules at most one retry at a time. The delays grow until something succeeds. */
import { Backoff } from "../../runtime/backoff.js";
import type { Clock } from "../../runtime/clock.js";

const delay = { msMin: 100, msMax: 10_000 };

export class RetryTimer {
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #retry: () => void;
  readonly #signal: AbortSignal;
  #pending = false;

  constructor(deps: { readonly clock: Clock; readonly random: () => number }, retry: () => void, signal: AbortSignal) {
    this.#clock = deps.clock;
    this.#backoff = new Backoff(delay, deps.random);
    this.#retry = retry;
    this.#signal = signal;
  }

  /** Schedules a retry, unless `signal` aborts first. */
  later(): void {
    if (this.#pending) return;
    this.#pending = true;
    void this.#clock.sleep(this.#backoff.nextMs(), this.#signal).then(() => {
      this.#pending = false;
      if (!this.#signal.aborted) this.#retry();
    });
  }

  /** Resets the delay after a success. */
  reset(): void {
    this.#backoff.reset();
  }
}
