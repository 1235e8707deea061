/** Counts, for metrics, how many calls of this process wait for streams, and with what result. */
export class WaitCounters {
  /** Calls that wait now. */
  waiting = 0;
  /** Calls that had to wait, so far. */
  waited = 0;
  /** Calls that were refused because too many waited. */
  refused = 0;
}
