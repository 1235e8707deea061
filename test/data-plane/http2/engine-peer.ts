import { Connection } from "../../../data-plane/http2/connection.js";
import type { ConnectionHandler } from "../../../data-plane/http2/connection-handler.js";
import { FieldBlock } from "../../../data-plane/http2/field-block.js";
import { HpackDecoder } from "../../../data-plane/http2/hpack-decoder.js";
import { HpackEncoder } from "../../../data-plane/http2/hpack-encoder.js";
import { defaultLimits, type EngineLimits } from "../../../data-plane/http2/limits.js";
import { BlockPool } from "../../../data-plane/http2/output.js";
import { PreparedField } from "../../../data-plane/http2/prepared-field.js";
import { frameFlag, frameType } from "../../../data-plane/http2/protocol.js";
import { EngineCounters } from "../../../data-plane/http2/refusals.js";
import type { Stream, StreamSink } from "../../../data-plane/http2/stream.js";
import {
  data,
  type Field,
  type Frame,
  frame,
  parseFrames,
  preface,
  type Setting,
  settings,
} from "../../support/wire.js";

export const goodRequest: readonly Field[] = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/shop.Payments/Charge"],
  [":authority", "payments"],
  ["te", "trailers"],
  ["content-type", "application/grpc"],
];

export function listOf(fields: FieldBlock): Field[] {
  const list: Field[] = [];
  for (let i = 0; i < fields.count; i++) {
    if (!fields.isDropped(i)) list.push([fields.nameText(i), fields.valueText(i)]);
  }
  return list;
}

export function blockOf(fields: readonly Field[]): FieldBlock {
  const block = new FieldBlock();
  for (const [name, value] of fields) block.add(name, value);
  return block;
}

const tooLarge = [new PreparedField(":status", "200"), new PreparedField("grpc-status", "8")];

/** What a sink heard, for one stream. */
export class Heard implements StreamSink {
  stream: Stream | undefined;
  request: Field[] = [];
  response: Field[] = [];
  trailers: Field[] = [];
  readonly data: Buffer[] = [];
  ended = false;
  /** The fields that were left of a block that is too large. */
  oversized: Field[] | undefined;
  reset: { code: number; byPeer: boolean; unprocessed: boolean } | undefined;
  taken = 0;
  /** Consume at once. */
  consume = true;

  get bytes(): Buffer {
    return Buffer.concat(this.data);
  }

  onResponse(_stream: Stream, fields: FieldBlock, endStream: boolean): void {
    this.response = listOf(fields);
    this.ended ||= endStream;
  }

  onData(stream: Stream, bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    this.data.push(Buffer.from(bytes.subarray(start, end)));
    this.ended ||= endStream;
    if (this.consume) stream.consumed(end - start);
  }

  onTrailers(_stream: Stream, fields: FieldBlock): void {
    this.trailers = listOf(fields);
    this.ended = true;
  }

  onOversized(_stream: Stream, fields: FieldBlock, endStream: boolean): void {
    this.oversized = listOf(fields);
    this.ended ||= endStream;
  }

  onReset(_stream: Stream, code: number, byPeer: boolean, unprocessed: boolean): void {
    this.reset = { code, byPeer, unprocessed };
  }

  onTaken(_stream: Stream, bytes: number): void {
    this.taken += bytes;
  }
}

/** A connection of the engine with a peer that writes raw frames; time stands still unless told. */
export class EnginePeer implements ConnectionHandler {
  readonly connection: Connection;
  readonly counters = new EngineCounters();
  readonly heard = new Map<number, Heard>();
  readonly encoder = new HpackEncoder();
  readonly decoder = new HpackDecoder({ headerFieldsMax: 1000, headerListBytesMax: 1 << 20 });
  nowMs = 1000;
  /** Called for each request the application is given. */
  answer: ((stream: Stream, heard: Heard) => void) | undefined;
  starts = 0;
  readonly faults: unknown[] = [];
  mostOpen = 0;

  constructor(isServer = true, limits: Partial<EngineLimits> = {}) {
    const deps = { handler: this, counters: this.counters, pool: new BlockPool() };
    this.connection = new Connection(isServer, { ...defaultLimits, ...limits }, deps, this.nowMs);
  }

  /** Requests that were too large. */
  readonly oversized: number[] = [];

  onOversized(stream: Stream): void {
    this.oversized.push(stream.id);
    stream.sendFields(tooLarge, null, null, true);
  }

  lastFields(): null {
    return null;
  }

  onRequest(stream: Stream, fields: FieldBlock, endStream: boolean): void {
    const heard = new Heard();
    heard.stream = stream;
    heard.request = listOf(fields);
    heard.ended = endStream;
    stream.sink = heard;
    this.heard.set(stream.id, heard);
    this.starts++;
    this.mostOpen = Math.max(this.mostOpen, this.connection.streams.count);
    this.answer?.(stream, heard);
  }

  onWork(): void {}
  onCapacity(): void {}

  onFault(error: unknown): void {
    this.faults.push(error);
  }

  /** Preface and settings both ways; what the engine says at the start is thrown away. */
  hello(entries: readonly Setting[] = []): this {
    if (this.connection.isServer) this.send(preface);
    this.send(settings(entries), frame(frameType.settings, frameFlag.ack, 0));
    this.frames();
    return this;
  }

  send(...bytes: Uint8Array[]): this {
    for (const piece of bytes) this.connection.receive(piece, this.nowMs);
    return this;
  }

  block(fields: readonly Field[]): Buffer {
    const block = blockOf(fields);
    const out = Buffer.alloc(block.listBytes + 64);
    this.encoder.begin(out, 0);
    this.encoder.message(null, block, null);
    return out.subarray(0, this.encoder.end());
  }

  headers(streamId: number, fields: readonly Field[] = goodRequest, endStream = false): Buffer {
    const flags = frameFlag.endHeaders | (endStream ? frameFlag.endStream : 0);
    return frame(frameType.headers, flags, streamId, this.block(fields));
  }

  data(streamId: number, payload: Uint8Array, endStream = false): Buffer {
    return data(streamId, payload, endStream);
  }

  /** What the engine has to say. */
  frames(): Frame[] {
    const bytes = Buffer.concat(this.connection.takeOutput());
    this.connection.output.recycle();
    const isPreface = bytes.subarray(0, preface.length).equals(preface);
    return parseFrames(isPreface ? bytes.subarray(preface.length) : bytes);
  }

  fieldsOf(headers: Frame): Field[] {
    this.decoder.decode(headers.payload, 0, headers.payload.length);
    return listOf(this.decoder.fields);
  }

  /** The code of the GOAWAY among `frames`, or undefined. */
  goawayCode(frames = this.frames()): number | undefined {
    return frames.find(({ type }) => type === frameType.goaway)?.payload.readUInt32BE(4);
  }

  /** The code of the reset of `streamId` among `frames`, or undefined. */
  resetCode(streamId: number, frames = this.frames()): number | undefined {
    return frames
      .find((each) => each.type === frameType.resetStream && each.streamId === streamId)
      ?.payload.readUInt32BE(0);
  }
}
