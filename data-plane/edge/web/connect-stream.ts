/** Calls of the Connect protocol with streams of messages: framed as in gRPC, with a last frame for the status. */
import { gunzipSync } from "node:zlib";
import { status } from "@grpc/grpc-js";
import { messageOf } from "../../../core/errors.js";
import { type ConnectError, connectStatus } from "./connect-errors.js";
import { type ConnectRequest, passedFields } from "./connect-request.js";
import { tooLong, translate, unzip } from "./connect-unary.js";
import type { JsonCodec } from "./descriptors.js";
import type { Dialect, DialectCall } from "./dialect.js";
import type { Exchange } from "./exchange.js";
import { compressed, FrameCollector, FrameScanner, frame } from "./frames.js";
import type { Header } from "./header.js";

const endFlag = 2;

export class ConnectStream implements Dialect {
  readonly protocol = "connect";
  readonly requestFields: readonly Header[];
  readonly #request: ConnectRequest;
  readonly #frames = new FrameScanner();
  #asked: FrameCollector | undefined;
  #answered: FrameCollector | undefined;

  constructor(request: ConnectRequest) {
    this.#request = request;
    this.requestFields = request.fields;
  }

  body(call: DialectCall, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    const { codec } = this.#request;
    if (!this.#frames.scan(bytes, start, end, compressed))
      call.fail(status.INVALID_ARGUMENT, "the request has a frame that is no message");
    else if (ended && this.#frames.isWithin) call.fail(status.INVALID_ARGUMENT, "the request ends within a message");
    else if (codec === undefined) call.deliver(bytes, start, end, ended);
    else this.#readJson(call, codec, bytes, start, end, ended);
  }

  #readJson(call: DialectCall, codec: JsonCodec, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    this.#asked ??= new FrameCollector(call.messageBytesMax);
    const before = this.#asked.bytes;
    const whole = this.#asked.add(bytes, start, end);
    if (whole === undefined) return void tooLong(call);
    if (!call.keep(this.#asked.bytes - before)) return;
    const parts: Uint8Array[] = [];
    for (const { flags, message } of whole) {
      const plain = (flags & compressed) === 0 ? message : unzip(call, message);
      const binary = plain && translate(call, () => codec.requestToBinary(plain));
      if (binary === undefined) return;
      parts.push(frame(0, binary));
    }
    const all = Buffer.concat(parts);
    call.deliver(all, 0, all.length, ended);
  }

  head({ exchange }: DialectCall, headers: readonly Header[]): void {
    const isZipped = headers.some(([name, value]) => name === "grpc-encoding" && value === "gzip");
    respond(exchange, this.#request.isJson, [
      ...(isZipped && !this.#request.isJson ? [["connect-content-encoding", "gzip"] as const] : []),
      ...passedFields(headers),
    ]);
  }

  data(call: DialectCall, bytes: Uint8Array, start: number, end: number): void {
    const { codec } = this.#request;
    if (codec === undefined) return void call.exchange.send(bytes, start, end, false);
    this.#answered ??= new FrameCollector(call.messageBytesMax);
    const before = this.#answered.bytes;
    const whole = this.#answered.add(bytes, start, end);
    if (whole === undefined) return void tooLong(call);
    if (!call.keep(this.#answered.bytes - before)) return;
    try {
      for (const { flags, message } of whole) {
        const isCompressed = (flags & compressed) !== 0;
        const plain = isCompressed ? gunzipSync(message, { maxOutputLength: call.messageBytesMax }) : message;
        const json = frame(0, codec.responseToJson(plain));
        call.exchange.send(json, 0, json.length, false);
      }
    } catch (error) {
      call.fail(status.INTERNAL, `the answer cannot be read: ${messageOf(error)}`);
    }
  }

  end({ exchange }: DialectCall, trailers: readonly Header[]): void {
    if (!exchange.isAnswered) respond(exchange, this.#request.isJson, []);
    sendEnd(exchange, connectStatus(trailers).error, passedFields(trailers));
  }
}

/** Answers a stream that could not begin. */
export function answerStreamError(exchange: Exchange, isJson: boolean, error: ConnectError | undefined): void {
  respond(exchange, isJson, []);
  sendEnd(exchange, error, []);
}

function respond(exchange: Exchange, isJson: boolean, headers: readonly Header[]): void {
  exchange.respond(200, [
    ["content-type", isJson ? "application/connect+json" : "application/connect+proto"],
    ["connect-accept-encoding", "gzip"],
    ...headers,
  ]);
}

function sendEnd(exchange: Exchange, error: ConnectError | undefined, trailers: readonly Header[]): void {
  const metadata: Record<string, string[]> = {};
  for (const [name, value] of trailers) metadata[name] = [...(metadata[name] ?? []), value];
  const last = { ...(error === undefined ? {} : { error }), ...(trailers.length === 0 ? {} : { metadata }) };
  const framed = frame(endFlag, Buffer.from(JSON.stringify(last), "utf8"));
  exchange.send(framed, 0, framed.length, true);
}
