import type { ConnectionHandler } from "./connection-handler.js";
import type { ConnectionPort } from "./connection-port.js";
import type { FieldBlock } from "./field-block.js";
import { readWord } from "./frame-reader.js";
import { decoded, HpackDecoder } from "./hpack-decoder.js";
import type { RequestRules } from "./limits.js";
import { PreparedField } from "./prepared-field.js";
import { errorCode, frameBytesMax, frameFlag } from "./protocol.js";
import { refusal } from "./refusals.js";
import { Stream, type StreamPort, type StreamSink } from "./stream.js";
import { closedHow } from "./stream-table.js";
import { FieldCheck } from "./validate-fields.js";

/** CONTINUATION frames at least this long are bounded by `headerBlockBytesMax` only: honest long blocks have them. */
const longContinuationBytes = 8192;
const unsupportedMediaType = [new PreparedField(":status", "415")];

/** The connection as this part and the streams that it opens use it. */
type HeaderPort = StreamPort &
  Pick<
    ConnectionPort,
    | ("isServer" | "limits" | "peer" | "counters" | "budget" | "streams" | "abuse" | "nowMs" | "newStreamWindow")
    | ("isIdle" | "ignores" | "fail" | "allow" | "glitch" | "refuseFrame" | "faultStream" | "reap" | "endedReceiving")
  > & {
    lastPeerId: number;
    readonly handler: Pick<ConnectionHandler, "lastFields" | "onRequest" | "onOversized">;
    /** Takes the events of a stream that has no owner yet. */
    readonly noSink: StreamSink;
  };

/**
 * Receives header blocks: joins their frames, decodes every one, checks it and passes it to the owner of the stream.
 */
export class HeaderReceiver {
  readonly #connection: HeaderPort;
  /** Made for the first block: most of what an idle connection would hold is in it. */
  #decoder: HpackDecoder | null = null;
  readonly check = new FieldCheck();
  /** The stream whose block is incomplete, or 0. */
  openStreamId = 0;
  openSinceMs = 0;
  #flags = 0;
  #selfDependent = false;
  #continuations = 0;
  #held: Uint8Array | null = null;
  #heldLength = 0;
  readonly #blockBytesMax: number;
  readonly #rules: RequestRules;
  readonly #streamsMax: number;

  constructor(connection: HeaderPort) {
    this.#connection = connection;
    const { headerBlockBytesMax, headerListBytesMax, requestRules, concurrentStreamsMax } = connection.limits;
    this.#rules = requestRules;
    this.#streamsMax = concurrentStreamsMax;
    this.#blockBytesMax = Math.max(headerBlockBytesMax, 4 * headerListBytesMax);
  }

  onHeaders(flags: number, streamId: number, bytes: Uint8Array, start: number, end: number): void {
    const connection = this.#connection;
    if (streamId === 0) {
      connection.fail(errorCode.protocolError, refusal.protocol);
      return;
    }
    let from = start;
    let to = end;
    if ((flags & frameFlag.padded) !== 0) {
      const padding = bytes[from++] as number;
      if (start === end || padding >= end - start) {
        connection.fail(errorCode.protocolError, refusal.protocol);
        return;
      }
      to -= padding;
    }
    this.#selfDependent = false;
    if ((flags & frameFlag.priority) !== 0) {
      if (to - from < 5) {
        connection.fail(errorCode.frameSizeError, refusal.frame_size);
        return;
      }
      this.#selfDependent = readWord(bytes, from) % 0x8000_0000 === streamId;
      from += 5;
    }
    this.#flags = flags;
    if ((flags & frameFlag.endHeaders) !== 0) {
      this.#decode(streamId, bytes, from, to);
      return;
    }
    this.openStreamId = streamId;
    this.openSinceMs = connection.nowMs;
    this.#continuations = 0;
    this.#heldLength = 0;
    this.#hold(bytes, from, to);
  }

  onContinuation(flags: number, bytes: Uint8Array, start: number, end: number): void {
    const connection = this.#connection;
    if (end - start < longContinuationBytes && ++this.#continuations > connection.limits.continuationFramesMax) {
      connection.fail(errorCode.enhanceYourCalm, refusal.continuation_flood);
      return;
    }
    if (start === end && (flags & frameFlag.endHeaders) === 0 && !connection.glitch()) return;
    this.#hold(bytes, start, end);
    if (this.#heldLength > this.#blockBytesMax) {
      connection.fail(errorCode.enhanceYourCalm, refusal.header_flood);
      return;
    }
    if ((flags & frameFlag.endHeaders) === 0) return;
    const streamId = this.openStreamId;
    const held = this.#held as Uint8Array;
    this.openStreamId = 0;
    this.drop();
    this.#decode(streamId, held, 0, this.#heldLength);
  }

  /** Memory kept between two blocks, in bytes. */
  get heldBytes(): number {
    return this.#decoder?.fields.heldBytes ?? 0;
  }

  /** Discards an incomplete block. */
  drop(): void {
    this.#connection.budget.give(this.#held?.length ?? 0);
    this.#held = null;
  }

  #hold(bytes: Uint8Array, start: number, end: number): void {
    const needed = this.#heldLength + end - start;
    if (this.#held === null || needed > this.#held.length) {
      // Room grows by a factor, so that a block in many short frames is not copied for each of them.
      const larger = new Uint8Array(Math.max(needed + (needed >> 1), Math.min(2 * needed, frameBytesMax)));
      if (this.#held !== null) larger.set(this.#held.subarray(0, this.#heldLength));
      this.#connection.budget.take(larger.length - (this.#held?.length ?? 0));
      this.#held = larger;
    }
    this.#held.set(bytes.subarray(start, end), this.#heldLength);
    this.#heldLength = needed;
  }

  /**
   * Decodes a complete block. Blocks for refused and reset streams are decoded too: the dynamic table must see every
   * block.
   */
  #decode(streamId: number, bytes: Uint8Array, start: number, end: number): void {
    const connection = this.#connection;
    this.#decoder ??= new HpackDecoder(connection.limits);
    const { fields } = this.#decoder;
    const what = this.#decoder.decode(bytes, start, end);
    if (what === decoded.error) connection.fail(errorCode.compressionError, refusal.compression);
    else if (what === decoded.flood) connection.fail(errorCode.enhanceYourCalm, refusal.header_flood);
    else {
      const stream = connection.streams.find(streamId);
      if (stream !== null) this.#onKnown(stream, fields, what);
      else if (connection.isServer) this.#onNew(streamId, fields, what);
      else if (connection.isIdle(streamId)) connection.fail(errorCode.protocolError, refusal.protocol);
      fields.shrink();
    }
  }

  #onNew(streamId: number, fields: FieldBlock, what: number): void {
    const connection = this.#connection;
    if ((streamId & 1) === 0) {
      connection.fail(errorCode.protocolError, refusal.protocol);
      return;
    }
    if (!connection.isIdle(streamId)) {
      const how = connection.streams.howClosed(streamId);
      if (how === closedHow.resetByUs || connection.ignores(streamId)) {
        connection.allow(connection.abuse.late(connection.nowMs));
        return;
      }
      if (how === closedHow.unknown) {
        connection.fail(errorCode.protocolError, refusal.protocol);
        return;
      }
      // Both sides ended the stream, so no honest peer continues it (RFC 9113, 5.1). After the peer's own reset it is a
      // stream error.
      if (how === closedHow.ended) connection.fail(errorCode.streamClosed, refusal.stream_closed);
      else connection.refuseFrame(streamId, errorCode.streamClosed, refusal.stream_closed);
      return;
    }
    connection.lastPeerId = streamId;
    if (connection.ignores(streamId)) {
      connection.allow(connection.abuse.late(connection.nowMs)); // the peer opened it after our last GOAWAY
      return;
    }
    const endStream = (this.#flags & frameFlag.endStream) !== 0;
    connection.abuse.request();
    let code: number = errorCode.protocolError;
    let reason = 0;
    if (this.#selfDependent) reason = refusal.priority;
    else if (connection.streams.slots >= this.#streamsMax) {
      code = errorCode.refusedStream;
      reason = refusal.streams_max;
    }
    if (reason === 0 && what === decoded.ok) reason = this.check.request(fields, this.#rules);
    else this.check.clear();
    connection.counters.obsTextFields += this.check.obsText;
    if (reason === refusal.connect_method) {
      connection.fail(errorCode.protocolError, reason);
      return;
    }
    const { contentLength } = this.check;
    if (reason === 0 && endStream && contentLength > 0) reason = refusal.content_length;
    if (reason !== 0 && reason !== refusal.content_type) {
      connection.refuseFrame(streamId, code, reason);
      return;
    }
    const stream = new Stream(
      connection,
      streamId,
      connection.noSink,
      connection.newStreamWindow,
      connection.peer.initialWindowSize,
      connection.nowMs,
    );
    stream.headersReceived = true;
    stream.receiveEnded = endStream;
    stream.lengthLeft = contentLength;
    stream.framed = this.check.grpc;
    connection.streams.add(stream);
    connection.counters.streams++;
    if (reason !== 0) {
      connection.counters.refuse(reason);
      stream.sendFields(unsupportedMediaType, null, connection.handler.lastFields(), true);
      return;
    }
    if (what === decoded.tooLarge) {
      connection.counters.refuse(refusal.header_list);
      connection.handler.onOversized(stream);
    } else connection.handler.onRequest(stream, fields, endStream);
  }

  #onKnown(stream: Stream, fields: FieldBlock, what: number): void {
    const connection = this.#connection;
    const endStream = (this.#flags & frameFlag.endStream) !== 0;
    if (stream.receiveEnded) {
      connection.faultStream(stream, errorCode.streamClosed, refusal.stream_closed);
      return;
    }
    let reason = 0;
    if (this.#selfDependent || what === decoded.tooLarge) this.check.clear();
    if (this.#selfDependent) reason = refusal.priority;
    else if (what === decoded.tooLarge) {
      this.#onOversized(stream, fields, endStream);
      return;
    } else if (stream.headersReceived) {
      reason = endStream ? this.check.trailers(fields) : refusal.trailers;
      if (reason === 0 && stream.lengthLeft > 0) reason = refusal.content_length;
    } else {
      reason = this.check.response(fields);
      if (reason === 0 && this.check.status < 200) {
        if (endStream) reason = refusal.status;
        else {
          connection.glitch();
          return; // gRPC ignores interim responses
        }
      }
    }
    connection.counters.obsTextFields += this.check.obsText;
    if (reason !== 0) {
      connection.faultStream(stream, errorCode.protocolError, reason);
      return;
    }
    if (endStream) stream.receiveEnded = true;
    if (stream.headersReceived) stream.sink.onTrailers(stream, fields);
    else {
      stream.headersReceived = true;
      stream.framed = this.check.grpc;
      if (!endStream) stream.lengthLeft = this.check.contentLength;
      stream.sink.onResponse(stream, fields, endStream);
    }
    if (endStream && !stream.closed) connection.endedReceiving(stream);
  }

  /** Handles a block with more fields or bytes than allowed. A client's owner gets the fields that were kept. */
  #onOversized(stream: Stream, fields: FieldBlock, endStream: boolean): void {
    const connection = this.#connection;
    if (stream.headersReceived && !endStream) {
      connection.faultStream(stream, errorCode.protocolError, refusal.trailers);
      return;
    }
    const { sink } = stream;
    if (!connection.isServer && sink.onOversized === undefined) {
      connection.reap(stream, errorCode.protocolError, refusal.header_list);
      return;
    }
    connection.counters.refuse(refusal.header_list);
    if (endStream) stream.receiveEnded = true;
    if (connection.isServer) {
      fields.clear(); // gRPC gives no meaning to a request's trailers
      sink.onTrailers(stream, fields);
    } else sink.onOversized?.(stream, fields, endStream);
    if (endStream && !stream.closed) connection.endedReceiving(stream);
  }
}
