import type { FieldBlock } from "./field-block.js";
import type { EngineLimits } from "./limits.js";
import type { MemoryBudget } from "./memory-budget.js";
import type { PreparedField } from "./prepared-field.js";
import type { PeerSettings } from "./settings.js";
import type { FieldCheck } from "./validate-fields.js";

/** Who a stream's events go to: one object a call. Slices and blocks are valid during the call only. */
export interface StreamSink {
  /** Clients: the final response's fields. */
  onResponse(stream: Stream, fields: FieldBlock, endStream: boolean): void;
  /** The bytes count against the windows until `stream.consumed` is told of them. */
  onData(stream: Stream, bytes: Uint8Array, start: number, end: number, endStream: boolean): void;
  onTrailers(stream: Stream, fields: FieldBlock): void;
  /**
   * Clients: a header block of the peer's is longer than allowed. Of its fields, which are not checked, some are there, and
   * gRPC's status and message if they can be. Without this the stream is reset.
   */
  onOversized?(stream: Stream, fields: FieldBlock, endStream: boolean): void;
  /** The stream is gone before its regular end; nothing follows. `unprocessed`: it may be tried again elsewhere. */
  onReset(stream: Stream, code: number, byPeer: boolean, unprocessed: boolean): void;
  /** So many bytes that `sendData` did not take at once have now been taken. */
  onTaken(stream: Stream, bytes: number): void;
}

export const sendState = { idle: 0, open: 1, ended: 2 } as const;

/** What a stream needs of the connection that carries it, and what its owner may ask there. */
export interface StreamPort {
  readonly limits: EngineLimits;
  readonly peer: PeerSettings;
  readonly budget: MemoryBudget;
  /** The connection has ended, or is ending. */
  readonly dead: boolean;
  readonly control: { readonly draining: boolean };
  /** What was found out about the header block that came last. */
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

/** One stream of one connection. Plain fields: the classes of the connection work on them. */
export class Stream {
  readonly connection: StreamPort;
  readonly id: number;
  sink: StreamSink;
  readonly openedAtMs: number;
  /** In the connection's table. */
  next: Stream | null = null;

  receiveEnded = false;
  /** Clients: the final response's fields came. Servers: always. */
  headersReceived = false;
  sending: number = sendState.idle;
  /** No longer on the connection. */
  closed = false;
  /** Counts against the stream limit until freed, which is at its end, or later if the owner asked for it. */
  holdsSlot = true;
  /** Set by the owner in `onReset`: the slot stays taken until `release`. */
  keepSlot = false;

  receiveWindow: number;
  sendWindow: number;
  /** Bytes of the budget that its owner keeps until it ends, beside its output: whoever makes room looks at them. */
  keptBytes = 0;
  /** Delivered and not consumed yet. */
  unconsumed = 0;
  /** Consumed and not announced to the peer yet. */
  credit = 0;

  /** Output that waits for windows or for the socket: blocks, of which all but the last are full. */
  waiting: Buffer[] | null = null;
  /** Where it starts in the first block, and where it ends in the last. */
  waitingAt = 0;
  waitingFill = 0;
  waitingBytes = 0;
  waitingEnd = false;
  waitingTrailers: FieldBlock | null = null;
  /** In the queue of streams that may send. */
  queued = false;
  /** The batch of output that has its last DATA. */
  sentInBatch = -1;
  nextQueued: Stream | null = null;
  /** Since when output waits of which the peer took next to nothing; 0: none does. */
  stalledSinceMs = 0;
  takenSinceStall = 0;

  /** From content-length; -1: none. */
  lengthLeft = -1;
  /** Whether message boundaries are followed (gRPC). */
  framed = false;
  messageLeft = 0;
  prefixSeen = 0;
  prefixValue = 0;
  /** A message that began is longer than the limit: what comes from now on is not to be passed on. */
  oversized = false;
  /** What small frames of the message under way cost, and what the stream still owes for such. */
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
   * Sends a header block: `first`, then the fields of `fields` that are not dropped, then `last`. Pseudo-header
   * fields must come first. The first block of a stream, or its trailers if `endStream`.
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
   * Sends bytes and returns how many were taken at once; `onTaken` tells of the others, which are copied
   * and wait for the peer's windows. The caller keeps their number within what it lets its own peer send.
   */
  sendData(bytes: Uint8Array, start: number, end: number, endStream: boolean): number {
    return this.connection.sender.data(this, bytes, start, end, endStream);
  }

  /** Says that so many received bytes are out of the way: the peer may send as many again. */
  consumed(bytes: number): void {
    this.connection.data.consumed(this, bytes);
  }

  /** Ends the stream early. No event follows. */
  reset(code: number): void {
    this.connection.resetStream(this, code);
  }

  /** Gives the slot back that `keepSlot` kept. */
  release(): void {
    this.keepSlot = false;
    if (this.closed) this.connection.streams.freeSlot(this);
  }
}

/** Takes the events of a stream that has no owner yet. */
export const nobody: StreamSink = {
  onResponse() {},
  onData(stream, _bytes, start, end) {
    stream.consumed(end - start);
  },
  onTrailers() {},
  onReset() {},
  onTaken() {},
};
