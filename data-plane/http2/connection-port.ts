import type { AbuseMeter } from "./abuse-meter.js";
import type { EngineLimits } from "./limits.js";
import type { MemoryBudget } from "./memory-budget.js";
import type { Output } from "./output.js";
import type { EngineCounters } from "./refusals.js";
import type { PeerSettings } from "./settings.js";
import type { Stream } from "./stream.js";
import type { StreamTable } from "./stream-table.js";

/**
 * What the parts of a connection share, and how they end streams or the connection. Each part names what it uses
 * (`Pick`), so that a reader sees its dependencies where it begins. `Connection` assembles the parts and none of them
 * imports it.
 */
export interface ConnectionPort {
  readonly isServer: boolean;
  readonly limits: EngineLimits;
  readonly peer: PeerSettings;
  readonly counters: EngineCounters;
  readonly budget: MemoryBudget;
  readonly output: Output;
  readonly streams: StreamTable;
  readonly abuse: AbuseMeter;
  /** The time at which the current read or tick began, in milliseconds of a monotonic clock. */
  readonly nowMs: number;
  /** Whether the connection has ended: nothing more is read. */
  readonly dead: boolean;
  /** The highest stream id that the peer has opened. */
  readonly lastPeerId: number;
  /** How many bytes the peer may send at once on a new stream. */
  readonly newStreamWindow: number;

  /** Tells the owner that there is output; once until the owner takes it. */
  wake(): void;

  // === The connection ===

  /** Ends the connection with GOAWAY(code). */
  fail(code: number, reason: number): void;
  /**
   * Ends the connection if `reason`, which the abuse meter returned, is not 0. Returns false if the connection ended.
   */
  allow(reason: number): boolean;
  /** Counts a small fault. Returns false if that was one too many and the connection ended. */
  glitch(): boolean;
  /** Ends the connection without a GOAWAY. */
  lost(): void;

  // === A stream ===

  /** Whether neither side has opened this stream yet. */
  isIdle(streamId: number): boolean;
  /** Whether the peer opened the stream after our last GOAWAY, so that its frames are ignored. */
  ignores(streamId: number): boolean;
  /** Resets a stream that is not open. */
  refuseFrame(streamId: number, code: number, reason: number): void;
  /** Resets an open stream for a fault of the peer. */
  faultStream(stream: Stream, code: number, reason: number): void;
  /** Resets an open stream that costs more than it carries, and charges the peer for it. */
  calm(stream: Stream, reason: number): void;
  /** Resets an open stream for its cost, without charging the peer. */
  reap(stream: Stream, code: number, reason: number): void;
  /** Removes an open stream that the peer reset or will not process, and tells its owner. */
  peerReset(stream: Stream, code: number, unprocessed: boolean): void;
  /** The peer has sent all that it sends on this stream. */
  endedReceiving(stream: Stream): void;
  /** We have sent all that we send on this stream. */
  endedSending(stream: Stream): void;
}
