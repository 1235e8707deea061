/** Decides when a target may be dialled again after failures, and keeps the last failure for messages. */
import { Backoff } from "../../runtime/backoff.js";

/** When the last rest of all targets of a pool ends. */
export interface LastRest {
  untilMs: number;
}

export class DialRest {
  readonly #backoff: Backoff;
  readonly #last: LastRest;
  #untilMs = 0;
  /** What went wrong last. "": no dial has failed yet. */
  lastFailure = "";

  /** `random` returns numbers that are uniform in [0, 1). */
  constructor(bounds: { readonly msMin: number; readonly msMax: number }, random: () => number, last: LastRest) {
    this.#last = last;
    this.#backoff = new Backoff(bounds, random);
  }

  /** Returns the milliseconds that are left; 0 or less: the target may be dialled. */
  leftMs(nowMs: number): number {
    return this.#untilMs - nowMs;
  }

  noteFailure(why: string, nowMs: number): void {
    this.lastFailure = why;
    this.#untilMs = nowMs + this.#backoff.nextMs();
    this.#last.untilMs = Math.max(this.#last.untilMs, this.#untilMs);
  }

  /** Notes that the target took a call: the next failure is treated as a first one again. */
  reset(): void {
    this.#backoff.reset();
  }
}
