import type { Connection } from "../http2/connection.js";
import type { Stream } from "../http2/stream.js";

interface Holder {
  readonly streams: readonly Stream[];
  readonly bytes: number;
}

/**
 * Returns the streams to end so that their owners give back `excessBytes`: first those of the connections that hold the
 * most, down to a level that is the same for all, and within a connection those that hold the most, older ones first.
 */
export function greediestStreams(connections: Iterable<Connection>, excessBytes: number): readonly Stream[] {
  const holders = [...connections].map(holderOf).sort((a, b) => b.bytes - a.bytes);
  const levelBytes = levelOf(holders, excessBytes);
  return holders.flatMap(({ streams, bytes }) => {
    const chosen: Stream[] = [];
    let left = bytes;
    for (const stream of [...streams].sort(byGreed)) {
      if (left <= levelBytes) break;
      left -= stream.keptBytes;
      chosen.push(stream);
    }
    return chosen;
  });
}

/** Returns the bytes that the owners of all streams hold. */
export function keptBytesOf(connections: Iterable<Connection>): number {
  let sum = 0;
  for (const { streams } of connections) for (const { keptBytes } of streams.all()) sum += keptBytes;
  return sum;
}

function holderOf(connection: Connection): Holder {
  const streams = [...connection.streams.all()].filter(({ keptBytes }) => keptBytes > 0);
  return { streams, bytes: streams.reduce((sum, { keptBytes }) => sum + keptBytes, 0) };
}

/** Returns what each connection may hold; `holders`: the largest first. */
function levelOf(holders: readonly Holder[], excessBytes: number): number {
  let above = 0;
  for (const [place, { bytes }] of holders.entries()) {
    above += bytes;
    const level = (above - excessBytes) / (place + 1);
    if (level >= (holders[place + 1]?.bytes ?? 0)) return Math.max(0, level);
  }
  return 0;
}

function byGreed(a: Stream, b: Stream): number {
  return b.keptBytes - a.keptBytes || a.openedAtMs - b.openedAtMs;
}
