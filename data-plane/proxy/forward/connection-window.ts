import { defaultLimits } from "../../http2/limits.js";
import type { MemoryBudget } from "../../http2/memory-budget.js";

/**
 * What a peer may send on a connection of `streams` streams before any of it is out of the way, in bytes: all their
 * windows together, so that streams whose bytes nobody takes hold up no other. What is held for all connections is
 * bounded by the process' budget, where the slowest give way; a window beyond the budget would be of no use.
 */
export function connectionWindowBytes(streams: number, { maxBytes }: MemoryBudget): number {
  const { streamWindowBytes, connectionWindowBytes: least } = defaultLimits;
  return Math.min(streams * streamWindowBytes, Math.max(maxBytes, least), windowBytesMax);
}

/** RFC 9113, 6.9.1. */
const windowBytesMax = 0x7fff_ffff;
