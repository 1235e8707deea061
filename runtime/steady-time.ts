import type { Clock } from "./clock.js";

/**
 * Returns a function for the Unix time in whole milliseconds that advances evenly from now on, even if somebody sets
 * the clock: for comparing moments within this process.
 */
export function steadyTime(clock: Pick<Clock, "nowMs" | "monotonicMs">): () => number {
  const offsetMs = clock.nowMs() - clock.monotonicMs();
  return () => Math.round(offsetMs + clock.monotonicMs());
}
