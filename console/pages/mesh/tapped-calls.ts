/** Keeps the newest calls that a tap reported, and how many it could not report. */
import type { TapBatch, TappedCall } from "../../api/traffic-messages.js";

export interface ShownCall extends TappedCall {
  /** A key that no other shown call has. */
  readonly key: number;
}

export interface Tapped {
  /** The calls, newest first. */
  readonly calls: readonly ShownCall[];
  readonly seen: number;
  readonly dropped: number;
}

export const noCalls: Tapped = { calls: [], seen: 0, dropped: 0 };

const shownMax = 30;

export function addCalls({ calls, seen, dropped }: Tapped, batch: TapBatch): Tapped {
  const more = batch.calls.map((call, index) => ({ ...call, key: seen + index }));
  return {
    calls: [...more.toReversed(), ...calls].sort((a, b) => b.timeMs - a.timeMs || b.key - a.key).slice(0, shownMax),
    seen: seen + more.length,
    dropped: dropped + batch.dropped,
  };
}
