import type { Clock } from "./clock.js";

/**
 * Returns a Unix time in whole milliseconds that goes on evenly from now, whoever sets the clock meanwhile: for comparing
 * moments of this process with each other.
 */
export function steadyTime(clock: Pick<Clock, "nowMs" | "monotonicMs">): () => number {
  const offsetMs = clock.nowMs() - clock.monotonicMs();
  return () => Math.round(offsetMs + clock.monotonicMs());
}
