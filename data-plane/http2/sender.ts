import type { ConnectionPort } from "./connection-port.js";
import { copyFields } from "./copy-fields.js";
import type { FieldBlock } from "./field-block.js";
import { HpackEncoder } from "./hpack-encoder.js";
import type { MemoryBudget } from "./memory-budget.js";
import type { BlockPool, Output } from "./output.js";
import type { PreparedField } from "./prepared-field.js";
import { frameBytesMax, frameFlag, frameHeaderBytes, frameType, windowMax } from "./protocol.js";
import { type Stream, sendState } from "./stream.js";

/**
 * A stream whose peer takes less than this while output waits is still stalled: a byte now and then is no sign of life.
 */
const stallFloorBytes = 16_384;

const smallFrameBytes = 256;

/** With less than this left of the connection's window, a new stream would wait for others. */
export const narrowWindowBytes = 8192;

type SenderPort = Pick<ConnectionPort, "dead" | "nowMs" | "limits" | "abuse" | "budget" | "endedSending" | "wake">;

/** Sends on the streams of a connection: header blocks at once, DATA as far as windows and the socket allow. */
export class Sender {
  /** Made for the first block: most of what an idle connection would hold is in it. */
  #encoder: HpackEncoder | null = null;
  /** The smallest and the last SETTINGS_HEADER_TABLE_SIZE that came before the first block; -1: none. */
  #tableLow = -1;
  #tableLast = -1;
  readonly #connection: SenderPort;
  readonly #output: Output;
  readonly #pool: BlockPool;
  readonly #budget: MemoryBudget;
  /** A copy from the limits: limit objects differ in shape, which would make each look-up slow. */
  readonly #outputBytesMax: number;
  /** How many bytes the peer lets us send on the connection. */
  window = 65_535;
  /** The queue of streams that have waiting output and window. */
  #first: Stream | null = null;
  #last: Stream | null = null;
  /** Bytes that wait on all streams. */
  waitingBytes = 0;

  constructor(connection: SenderPort, output: Output, pool: BlockPool) {
    this.#connection = connection;
    this.#output = output;
    this.#pool = pool;
    this.#budget = connection.budget;
    this.#outputBytesMax = connection.limits.outputBytesMax;
  }

  fields(
    stream: Stream,
    first: readonly PreparedField[] | null,
    fields: FieldBlock | null,
    last: readonly PreparedField[] | null,
    endStream: boolean,
  ): void {
    if (stream.closed || stream.sending === sendState.ended || this.#connection.dead) return;
    if (stream.waitingBytes > 0 && stream.sentInBatch === this.#output.batch) this.#sendSome(stream);
    if (stream.waitingBytes > 0) {
      // Trailers wait until the DATA before them is sent.
      if (!endStream) return;
      if (stream.waitingTrailers !== null) this.#budget.give(stream.waitingTrailers.heldBytes);
      stream.waitingTrailers = copyFields(first, fields, last);
      this.#budget.take(stream.waitingTrailers.heldBytes);
      return;
    }
    const output = this.#output;
    let room = frameHeaderBytes + 64 + (fields === null ? 0 : fields.listBytes);
    if (first !== null) for (let i = 0; i < first.length; i++) room += (first[i] as PreparedField).size;
    if (last !== null) for (let i = 0; i < last.length; i++) room += (last[i] as PreparedField).size;
    output.reserve(room);
    const encoder = this.#encoder ?? this.#newEncoder();
    const place = output.at;
    encoder.begin(output.block, place + frameHeaderBytes);
    encoder.message(first, fields, last);
    const end = encoder.end();
    const flags = endStream ? frameFlag.endStream : 0;
    if (end - place - frameHeaderBytes <= frameBytesMax) {
      output.frameHeader(
        place,
        end - place - frameHeaderBytes,
        frameType.headers,
        flags | frameFlag.endHeaders,
        stream.id,
      );
      output.at = end;
    } else this.#split(stream.id, place, end, flags);
    if (endStream) this.#ended(stream);
    else stream.sending = sendState.open;
    this.#connection.wake();
  }

  /** Takes the peer's SETTINGS_HEADER_TABLE_SIZE. */
  setTableMax(bytes: number): void {
    if (this.#encoder !== null) this.#encoder.setTableMax(bytes);
    else {
      this.#tableLow = this.#tableLow < 0 ? bytes : Math.min(this.#tableLow, bytes);
      this.#tableLast = bytes;
    }
  }

  #newEncoder(): HpackEncoder {
    const encoder = new HpackEncoder();
    if (this.#tableLast >= 0) {
      encoder.setTableMax(this.#tableLow);
      encoder.setTableMax(this.#tableLast);
    }
    this.#encoder = encoder;
    return encoder;
  }

  /** Writes a header block that fills more than one frame. */
  #split(streamId: number, place: number, end: number, flags: number): void {
    const output = this.#output;
    const copy = Uint8Array.from(output.block.subarray(place + frameHeaderBytes, end));
    for (let at = 0; at < copy.length; at += frameBytesMax) {
      const stop = Math.min(copy.length, at + frameBytesMax);
      output.reserve(frameHeaderBytes + stop - at);
      const type = at === 0 ? frameType.headers : frameType.continuation;
      const endHeaders = stop === copy.length ? frameFlag.endHeaders : 0;
      output.frameHeader(output.at, stop - at, type, (at === 0 ? flags : 0) | endHeaders, streamId);
      output.block.set(copy.subarray(at, stop), output.at + frameHeaderBytes);
      output.at += frameHeaderBytes + stop - at;
    }
  }

  /** See `Stream.sendData`. */
  data(stream: Stream, bytes: Uint8Array, start: number, end: number, endStream: boolean): number {
    const length = end - start;
    if (stream.closed || stream.sending !== sendState.open || this.#connection.dead) return length;
    let at = start;
    if (stream.waitingBytes === 0 && !this.#isGathered(stream, length, endStream)) {
      at = this.#write(stream, bytes, start, end, endStream);
      if (at === end) return length;
    } else if (length === 0) {
      stream.waitingEnd ||= endStream; // sent with the last of the waiting bytes
      return 0;
    }
    this.#keep(stream, bytes, at, end);
    stream.waitingEnd = endStream;
    this.#enqueue(stream);
    return at - start;
  }

  /**
   * Whether small DATA waits for more of its stream until output is taken, which is when it would be sent anyway.
   * Otherwise pieces of many streams in turn would each become a frame.
   */
  #isGathered(stream: Stream, length: number, endStream: boolean): boolean {
    const output = this.#output;
    if (length >= smallFrameBytes || endStream || stream.sentInBatch !== output.batch) return false;
    return length > 0 && stream.sendWindow > 0 && !output.endsWith(stream.id);
  }

  #keep(stream: Stream, bytes: Uint8Array, start: number, end: number): void {
    stream.waiting ??= [];
    const { waiting } = stream;
    let block = waiting[waiting.length - 1];
    for (let at = start; at < end; ) {
      if (block === undefined || stream.waitingFill === block.length) {
        block = this.#pool.takeWaiting(end - at);
        waiting.push(block);
        stream.waitingFill = 0;
      }
      const length = Math.min(end - at, block.length - stream.waitingFill);
      block.set(bytes.subarray(at, at + length), stream.waitingFill);
      stream.waitingFill += length;
      at += length;
    }
    stream.waitingBytes += end - start;
    this.waitingBytes += end - start;
  }

  /** Writes what windows and output allow now, and returns where it stopped. */
  #write(stream: Stream, bytes: Uint8Array, start: number, end: number, endStream: boolean): number {
    const output = this.#output;
    const connection = this.#connection;
    if (start === end) {
      if (endStream) {
        output.data(stream.id, bytes, start, end, true);
        this.#ended(stream);
        connection.wake();
      }
      return end;
    }
    let at = start;
    while (at < end && output.size < this.#outputBytesMax) {
      const length = Math.min(end - at, stream.sendWindow, this.window, frameBytesMax);
      if (length <= 0) break;
      const last = endStream && at + length === end;
      output.data(stream.id, bytes, at, at + length, last);
      at += length;
      stream.sendWindow -= length;
      stream.sentInBatch = output.batch;
      this.window -= length;
      connection.abuse.dataSent();
      if (last) this.#ended(stream);
    }
    if (at > start) connection.wake();
    return at;
  }

  #ended(stream: Stream): void {
    stream.sending = sendState.ended;
    this.#connection.endedSending(stream);
  }

  #enqueue(stream: Stream): void {
    if (stream.stalledSinceMs === 0) stream.stalledSinceMs = this.#connection.nowMs;
    if (stream.queued || stream.sendWindow <= 0) return;
    stream.queued = true;
    stream.nextQueued = null;
    if (this.#last === null) this.#first = stream;
    else this.#last.nextQueued = stream;
    this.#last = stream;
  }

  /** Sends waiting DATA, one frame per stream in turn, as far as windows and the socket allow. */
  pump(): void {
    while (this.#first !== null && this.window > 0 && this.#output.size < this.#outputBytesMax) {
      const stream: Stream = this.#first;
      this.#first = stream.nextQueued;
      if (this.#first === null) this.#last = null;
      stream.queued = false;
      stream.nextQueued = null;
      if (!stream.closed && stream.waitingBytes > 0) this.#sendSome(stream);
    }
  }

  #sendSome(stream: Stream): void {
    const waiting = stream.waiting as Buffer[];
    const head = waiting[0] as Buffer;
    const from = stream.waitingAt;
    const filled = waiting.length === 1 ? stream.waitingFill : head.length;
    const to = Math.min(filled, from + frameBytesMax);
    const ends = stream.waitingEnd && waiting.length === 1 && to === filled;
    const at = this.#write(stream, head, from, to, ends);
    const taken = at - from;
    // The last frame of an early answer closes the stream, which has forgotten its waiting output then.
    if (!stream.closed) this.#advance(stream, at, taken, at === filled);
    if (taken > 0) stream.sink.onTaken(stream, taken);
  }

  #advance(stream: Stream, at: number, taken: number, emptied: boolean): void {
    stream.waitingAt = at;
    stream.waitingBytes -= taken;
    this.waitingBytes -= taken;
    if (emptied) {
      const block = stream.waiting?.shift();
      if (block !== undefined) this.#pool.giveWaiting(block);
      stream.waitingAt = 0;
    }
    stream.takenSinceStall += taken;
    if (stream.waitingBytes === 0 || stream.takenSinceStall >= stallFloorBytes) {
      stream.stalledSinceMs = 0;
      stream.takenSinceStall = 0;
    }
    if (stream.waitingBytes > 0) this.#enqueue(stream);
    else if (stream.waitingTrailers !== null) {
      const trailers = stream.waitingTrailers;
      stream.waitingTrailers = null;
      this.#budget.give(trailers.heldBytes);
      this.fields(stream, null, trailers, null, true);
    }
  }

  /** Forgets the waiting output of a closed stream. */
  drop(stream: Stream): void {
    const { waiting, waitingTrailers } = stream;
    if (waitingTrailers !== null) this.#budget.give(waitingTrailers.heldBytes);
    stream.waitingTrailers = null;
    if (waiting === null) return;
    for (const block of waiting) this.#pool.giveWaiting(block);
    this.waitingBytes -= stream.waitingBytes;
    stream.waitingBytes = 0;
    stream.waiting = null;
  }

  /** Widens the window of a stream. Returns false if it would exceed the largest window. */
  widen(stream: Stream, increment: number): boolean {
    if (stream.sendWindow + increment > windowMax) return false;
    stream.sendWindow += increment;
    if (stream.waitingBytes > 0) this.#enqueue(stream);
    return true;
  }

  /** Widens the connection's window. Returns false if it would exceed the largest window. */
  widenAll(increment: number): boolean {
    if (this.window + increment > windowMax) return false;
    this.window += increment;
    return true;
  }
}
