import type { AbuseMeter } from "./abuse-meter.js";
import type { EngineLimits } from "./limits.js";
import type { MemoryBudget } from "./memory-budget.js";
import type { Output } from "./output.js";
import type { EngineCounters } from "./refusals.js";
import type { PeerSettings } from "./settings.js";
import type { Stream } from "./stream.js";
import type { StreamTable } from "./stream-table.js";

/**
 * What the parts of a connection share, and the verdicts they may reach. Each part names what it uses of it (`Pick`), so
 * that its dependencies can be read where it begins; `Connection` puts the parts together and is imported by none of them.
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
  /** The time of the read or tick that is under way, in milliseconds of a monotonic clock. */
  readonly nowMs: number;
  /** Nothing more is read. */
  readonly dead: boolean;
  /** The highest stream of the peer's that was opened. */
  readonly lastPeerId: number;
  /** What a new stream of the peer may use at once. */
  readonly newStreamWindow: number;

  /** There is output: the owner is told, once until it takes it. */
  wake(): void;

  // === Of the connection ===

  /** Ends it with GOAWAY(code). */
  fail(code: number, reason: number): void;
  /** Ends it for a reason that the abuse meter gave; false: it ended. 0 is no reason. */
  allow(reason: number): boolean;
  /** Counts a small fault; false: that was one too many, and it ended. */
  glitch(): boolean;
  /** Ends it without a word. */
  lost(): void;

  // === Of a stream ===

  /** Whether nobody has opened this stream yet. */
  isIdle(streamId: number): boolean;
  /** Whether the stream came after our last GOAWAY. */
  ignores(streamId: number): boolean;
  /** Resets a stream that is not open. */
  refuseFrame(streamId: number, code: number, reason: number): void;
  /** Resets an open stream for a fault of the peer. */
  faultStream(stream: Stream, code: number, reason: number): void;
  /** Resets an open stream that costs more than it carries. */
  calm(stream: Stream, reason: number): void;
  /** Resets an open stream for what it costs, which is no fault of the peer's. */
  reap(stream: Stream, code: number, reason: number): void;
  /** The peer reset an open stream, or will not process it. */
  peerReset(stream: Stream, code: number, unprocessed: boolean): void;
  /** The peer has sent all of it. */
  endedReceiving(stream: Stream): void;
  /** We have sent all of it. */
  endedSending(stream: Stream): void;
}
