/** Bounds what one proxy has open to a service at once. Pure: it only counts. */
import type { Breaker } from "../kinds/resilience/resilience.js";

export type BreakerBound = "connections" | "calls" | "waiting";

export class BreakerCounts {
  #bounds: Breaker;
  calls = 0;
  waiting = 0;
  /** Calls that were refused, by bound. */
  readonly refused: Record<BreakerBound, number> = { connections: 0, calls: 0, waiting: 0 };

  constructor(bounds: Breaker) {
    this.#bounds = bounds;
  }

  set bounds(bounds: Breaker) {
    this.#bounds = bounds;
  }

  /** Whether one more connection may be dialled beside `open` ones. */
  allowsConnection(open: number): boolean {
    return open < (this.#bounds.connections ?? Number.POSITIVE_INFINITY);
  }

  /**
   * Counts a call as open until `ended`. Returns undefined then; if a bound allows no further call, counts nothing and
   * returns that bound.
   */
  begin(): BreakerBound | undefined {
    if (this.calls >= (this.#bounds.calls ?? Number.POSITIVE_INFINITY)) return this.#refuse("calls");
    this.calls++;
    return undefined;
  }

  ended(): void {
    this.calls--;
  }

  /** Like `begin`, for a call that waits for a stream until `waited`. */
  wait(): BreakerBound | undefined {
    if (this.waiting >= (this.#bounds.waiting ?? Number.POSITIVE_INFINITY)) return this.#refuse("waiting");
    this.waiting++;
    return undefined;
  }

  waited(): void {
    this.waiting--;
  }

  #refuse(bound: BreakerBound): BreakerBound {
    this.refused[bound]++;
    return bound;
  }
}
