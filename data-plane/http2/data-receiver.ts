import { countMessages } from "./abuse-meter.js";
import type { ConnectionPort } from "./connection-port.js";
import { errorCode, frameFlag, windowMax } from "./protocol.js";
import { refusal } from "./refusals.js";
import type { Stream } from "./stream.js";
import { closedHow } from "./stream-table.js";

/** The smallest window update, in bytes, for the connection while little of its window is left. */
const leastCredit = 4096;

type DataPort = Pick<
  ConnectionPort,
  | ("dead" | "nowMs" | "limits" | "streams" | "output" | "abuse" | "wake" | "isIdle" | "ignores" | "fail" | "allow")
  | ("refuseFrame" | "faultStream" | "calm" | "endedReceiving")
>;

/** Receives DATA frames: checks windows and lengths, and gives window back as the bytes are consumed. */
export class DataReceiver {
  readonly #connection: DataPort;
  /** How many bytes the peer may still send on the connection. */
  window: number;
  /** Bytes that were consumed and not yet announced to the peer. */
  #credit = 0;
  readonly #announceAt: number;
  readonly #streamAnnounceAt: number;
  readonly #messageBytesMax: number;
  /** The stream of the frame being read, or null if the frame's bytes are discarded. */
  #stream: Stream | null = null;
  #endStream = false;
  #length = 0;
  #messages = 0;

  constructor(connection: DataPort) {
    this.#connection = connection;
    this.window = connection.limits.connectionWindowBytes;
    this.#announceAt = connection.limits.connectionWindowBytes >>> 1;
    this.#streamAnnounceAt = connection.limits.streamWindowBytes >>> 1;
    this.#messageBytesMax = connection.limits.messageBytesMax;
  }

  onFrame(flags: number, streamId: number, length: number, padding: number): void {
    const connection = this.#connection;
    this.#stream = null;
    if (streamId === 0) {
      connection.fail(errorCode.protocolError, refusal.protocol);
      return;
    }
    this.window -= length;
    if (this.window < 0) {
      connection.fail(errorCode.flowControlError, refusal.flow_control);
      return;
    }
    const stream = connection.streams.find(streamId);
    if (stream === null) {
      this.#creditConnection(length);
      if (connection.isIdle(streamId)) connection.fail(errorCode.protocolError, refusal.protocol);
      else if (connection.streams.howClosed(streamId) === closedHow.resetByUs || connection.ignores(streamId)) {
        connection.allow(connection.abuse.late(connection.nowMs));
      } else connection.refuseFrame(streamId, errorCode.streamClosed, refusal.stream_closed);
      return;
    }
    stream.receiveWindow -= length;
    let code: number = errorCode.noError;
    let reason = 0;
    if (stream.receiveEnded) {
      code = errorCode.streamClosed;
      reason = refusal.stream_closed;
    } else if (stream.receiveWindow < 0) {
      code = errorCode.flowControlError;
      reason = refusal.stream_window;
    } else if (!stream.headersReceived) {
      code = errorCode.protocolError;
      reason = refusal.protocol;
    }
    if (reason !== 0) {
      this.#creditConnection(length);
      connection.faultStream(stream, code, reason);
      return;
    }
    if (padding > 0) {
      // Padding is consumed as soon as it is read.
      stream.unconsumed += padding;
      this.consumed(stream, padding);
    }
    stream.unconsumed += length - padding;
    this.#stream = stream;
    this.#endStream = (flags & frameFlag.endStream) !== 0;
    this.#length = length - padding;
    this.#messages = 0;
    if (stream.lengthLeft >= 0 && !this.#lengthHolds(stream)) {
      this.#stream = null;
      connection.faultStream(stream, errorCode.protocolError, refusal.content_length);
    }
  }

  #lengthHolds(stream: Stream): boolean {
    stream.lengthLeft -= this.#length;
    return stream.lengthLeft >= 0 && (!this.#endStream || stream.lengthLeft === 0);
  }

  onBytes(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    const stream = this.#stream;
    if (stream === null || stream.closed) return; // the window for these bytes was given back when the stream closed
    const connection = this.#connection;
    if (stream.framed) this.#messages += countMessages(stream, bytes, start, end, this.#messageBytesMax);
    if (last) {
      this.#stream = null;
      const reason = connection.abuse.data(stream, this.#length, this.#messages, this.#endStream, connection.nowMs);
      if (reason !== 0) {
        if (reason === refusal.small_data) connection.calm(stream, reason);
        else connection.allow(reason);
        return;
      }
    }
    const ends = last && this.#endStream;
    if (ends) stream.receiveEnded = true;
    if (end > start || ends) stream.sink.onData(stream, bytes, start, end, ends);
    if (ends && !stream.closed) connection.endedReceiving(stream);
  }

  /** See `Stream.consumed`. */
  consumed(stream: Stream, bytes: number): void {
    const count = Math.min(bytes, stream.unconsumed);
    if (count <= 0) return;
    stream.unconsumed -= count;
    this.#creditConnection(count);
    if (stream.closed || stream.receiveEnded) return;
    stream.credit += count;
    if (stream.credit < this.#streamAnnounceAt) return;
    this.#connection.output.windowUpdate(stream.id, stream.credit);
    stream.receiveWindow += stream.credit;
    stream.credit = 0;
    this.#connection.wake();
  }

  /** Gives back the window that a closed stream's unconsumed bytes hold. */
  drop(stream: Stream): void {
    if (stream.unconsumed === 0) return;
    this.#creditConnection(stream.unconsumed);
    stream.unconsumed = 0;
  }

  #creditConnection(bytes: number): void {
    this.#credit += bytes;
    // When streams that nobody reads hold most of the window, the other streams get theirs back in small updates and do
    // not wait for half a window.
    const least = this.window < this.#announceAt >>> 1 ? Math.min(leastCredit, this.window + 1) : this.#announceAt;
    if (this.#credit < least || this.#connection.dead) return;
    const increment = Math.min(this.#credit, windowMax);
    this.#connection.output.windowUpdate(0, increment);
    this.window += increment;
    this.#credit -= increment;
    this.#connection.wake();
  }
}
