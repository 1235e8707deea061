/** What one proxy may have open to a service at once. Pure counts. */
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

  /** The bound that a further call would break; undefined: none, and it is counted as open until `ended`. */
  begin(): BreakerBound | undefined {
    if (this.calls >= (this.#bounds.calls ?? Number.POSITIVE_INFINITY)) return this.#refuse("calls");
    this.calls++;
    return undefined;
  }

  ended(): void {
    this.calls--;
  }

  /** The same for a call that has to wait for a stream, until `waited`. */
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
