import type { FieldBlock } from "./field-block.js";
import type { EngineLimits } from "./limits.js";
import type { MemoryBudget } from "./memory-budget.js";
import type { PreparedField } from "./prepared-field.js";
import type { PeerSettings } from "./settings.js";
import type { FieldCheck } from "./validate-fields.js";

/** Receives a stream's events; one object per call. Slices and blocks are valid only during the call. */
export interface StreamSink {
  /** Clients: the fields of the final response arrived. */
  onResponse(stream: Stream, fields: FieldBlock, endStream: boolean): void;
  /** DATA arrived. The bytes count against the windows until the sink passes their number to `stream.consumed`. */
  onData(stream: Stream, bytes: Uint8Array, start: number, end: number, endStream: boolean): void;
  onTrailers(stream: Stream, fields: FieldBlock): void;
  /**
   * Clients: a header block of the peer is longer than allowed. `fields` holds some of its fields, unchecked, with
   * gRPC's status and message if possible. If a sink lacks this method, the stream is reset.
   */
  onOversized?(stream: Stream, fields: FieldBlock, endStream: boolean): void;
  /** The stream ended before its regular end; no event follows. `unprocessed`: the call may be retried elsewhere. */
  onReset(stream: Stream, code: number, byPeer: boolean, unprocessed: boolean): void;
  /** `bytes` bytes that `sendData` did not take at once have now been taken. */
  onTaken(stream: Stream, bytes: number): void;
}

export const sendState = { idle: 0, open: 1, ended: 2 } as const;

/** What a stream uses of its connection, and what its owner may use there. */
export interface StreamPort {
  readonly limits: EngineLimits;
  readonly peer: PeerSettings;
  readonly budget: MemoryBudget;
  /** Whether the connection has ended. */
  readonly dead: boolean;
  readonly control: { readonly draining: boolean };
  /** The result of checking the last header block. */
  readonly headers: { readonly check: FieldCheck };
  readonly sender: {
    fields(
      stream: Stream,
      first: readonly PreparedField[] | null,
      fields: FieldBlock | null,
      last: readonly PreparedField[] | null,
      endStream: boolean,
    ): void;
    data(stream: Stream, bytes: Uint8Array, start: number, end: number, endStream: boolean): number;
  };
  readonly data: { consumed(stream: Stream, bytes: number): void };
  readonly streams: { freeSlot(stream: Stream): void };
  resetStream(stream: Stream, code: number): void;
  reap(stream: Stream, code: number, reason: number): void;
}

/** One stream of one connection. Its fields are public and plain: the parts of the connection work on them. */
export class Stream {
  readonly connection: StreamPort;
  readonly id: number;
  sink: StreamSink;
  readonly openedAtMs: number;
  /** The next stream in the same bucket of the connection's table. */
  next: Stream | null = null;

  receiveEnded = false;
  /** Clients: whether the fields of the final response arrived. Servers: always true. */
  headersReceived = false;
  sending: number = sendState.idle;
  /** Whether the stream is no longer on the connection. */
  closed = false;
  /**
   * Whether the stream counts towards the stream limit: until it ends, or until `release` if the owner kept the slot.
   */
  holdsSlot = true;
  /** Set by the owner in `onReset`, or before it sends the end, to keep the slot until `release`. */
  keepSlot = false;

  receiveWindow: number;
  sendWindow: number;
  /**
   * Bytes of the memory budget that the owner keeps until the stream ends, in addition to output. Considered when room
   * is made.
   */
  keptBytes = 0;
  /** Bytes delivered to the sink and not consumed yet. */
  unconsumed = 0;
  /** Bytes consumed and not yet announced to the peer. */
  credit = 0;

  /** Output that waits for windows or the socket, in blocks. All but the last are full. */
  waiting: Buffer[] | null = null;
  /** Where it starts in the first block and ends in the last. */
  waitingAt = 0;
  waitingFill = 0;
  waitingBytes = 0;
  waitingEnd = false;
  waitingTrailers: FieldBlock | null = null;
  /** Whether it is in the queue of streams that may send. */
  queued = false;
  /** The batch of output that contains its last DATA. */
  sentInBatch = -1;
  nextQueued: Stream | null = null;
  /** Since when output waits while the peer takes next to nothing; 0 if it does not wait. */
  stalledSinceMs = 0;
  takenSinceStall = 0;

  /** Bytes still to come according to content-length; -1 if there was none. */
  lengthLeft = -1;
  /** Whether message boundaries are followed, as for gRPC. */
  framed = false;
  messageLeft = 0;
  prefixSeen = 0;
  prefixValue = 0;
  /** Whether a message that began is longer than the limit: nothing that follows may be passed on. */
  oversized = false;
  /** Charges for the small frames of the current message, and what the stream still owes for small frames. */
  messageCharge = 0;
  smallCharge = 0;
  smallChargedMs = 0;
  emptyData = 0;

  constructor(
    connection: StreamPort,
    id: number,
    sink: StreamSink,
    receiveWindow: number,
    sendWindow: number,
    nowMs: number,
  ) {
    this.connection = connection;
    this.id = id;
    this.sink = sink;
    this.receiveWindow = receiveWindow;
    this.sendWindow = sendWindow;
    this.openedAtMs = nowMs;
  }

  /**
   * Sends a header block: `first`, then the fields of `fields` that are not dropped, then `last`. Pseudo-header fields
   * must come first. It is the first block of the stream, or its trailers if `endStream`.
   */
  sendFields(
    first: readonly PreparedField[] | null,
    fields: FieldBlock | null,
    last: readonly PreparedField[] | null,
    endStream: boolean,
  ): void {
    this.connection.sender.fields(this, first, fields, last, endStream);
  }

  /**
   * Sends bytes and returns how many were taken at once. The others are copied and wait for the peer's windows;
   * `onTaken` reports them. The caller bounds their number by what it lets its own peer send.
   */
  sendData(bytes: Uint8Array, start: number, end: number, endStream: boolean): number {
    return this.connection.sender.data(this, bytes, start, end, endStream);
  }

  /** Reports `bytes` received bytes as consumed: the peer may send as many again. */
  consumed(bytes: number): void {
    this.connection.data.consumed(this, bytes);
  }

  /** Ends the stream early with RST_STREAM(code). No event follows. */
  reset(code: number): void {
    this.connection.resetStream(this, code);
  }

  /** Frees the slot that `keepSlot` kept. */
  release(): void {
    this.keepSlot = false;
    this.connection.streams.freeSlot(this);
  }
}

/** Takes the events of a stream that has no owner yet, and discards them. */
export const nobody: StreamSink = {
  onResponse() {},
  onData(stream, _bytes, start, end) {
    stream.consumed(end - start);
  },
  onTrailers() {},
  onReset() {},
  onTaken() {},
};
