/** Measures since when a stage has been the head, without trusting the clock of the control plane that appended it. */
import type { Activation, Signed } from "../../core/model.js";
import type { Clock } from "../../runtime/clock.js";
import { steadyTime } from "../../runtime/steady-time.js";

export class StageTimes {
  readonly #clock: Clock;
  readonly #steadyMs: () => number;
  readonly #startedMs: number;
  #hasLooked = false;
  #head: { readonly digest: string; readonly sinceMs: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#steadyMs = steadyTime(clock);
    this.#startedMs = this.#steadyMs();
  }

  /** Since when this control plane has heard the fleet, on the present wall clock. */
  get hearingSinceMs(): number {
    return this.#byClock(this.#startedMs);
  }

  /**
   * Returns since when `head` has been the head, on the present wall clock. Call it at every look. A head that was not
   * there before began when it is first seen; one that was there at the first look began when it states, and not later
   * than now.
   */
  sinceMs(head: Pick<Signed<Activation>, "digest" | "body"> | undefined): number {
    const nowMs = this.#steadyMs();
    if (head !== undefined && head.digest !== this.#head?.digest) {
      const ageMs = this.#hasLooked ? 0 : Math.max(0, this.#clock.nowMs() - head.body.timeMs);
      this.#head = { digest: head.digest, sinceMs: nowMs - ageMs };
    }
    this.#hasLooked = true;
    return this.#byClock(this.#head?.sinceMs ?? nowMs);
  }

  #byClock(steadyMs: number): number {
    return steadyMs + this.#clock.nowMs() - this.#steadyMs();
  }
}
