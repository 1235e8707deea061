import { defaultLimits } from "../../http2/limits.js";
import type { MemoryBudget } from "../../http2/memory-budget.js";

/**
 * Returns how many bytes a peer may send on a connection of `streams` streams before any are consumed: the sum of the
 * streams' windows, so that a stream whose bytes nobody takes holds up no other. The process's memory budget bounds the
 * bytes held for all connections, and the slowest streams give way, so a window beyond the budget would be of no use.
 */
export function connectionWindowBytes(streams: number, { maxBytes }: MemoryBudget): number {
  const { streamWindowBytes, connectionWindowBytes: least } = defaultLimits;
  return Math.min(streams * streamWindowBytes, Math.max(maxBytes, least), windowBytesMax);
}

/** The largest window (RFC 9113, 6.9.1). */
const windowBytesMax = 0x7fff_ffff;
