/** Calls of the Connect protocol with one message each way: the body is the message, and the status is that of HTTP. */
import { gunzipSync } from "node:zlib";
import { status } from "@grpc/grpc-js";
import { messageOf } from "../../../core/errors.js";
import { type ConnectStatus, connectError, connectStatus } from "./connect-errors.js";
import { type ConnectRequest, passedFields } from "./connect-request.js";
import type { Dialect, DialectCall } from "./dialect.js";
import type { Exchange } from "./exchange.js";
import { compressed, FrameCollector, type Framed, frame } from "./frames.js";
import type { Header } from "./header.js";

/** The HTTP status of `unimplemented`. */
const unimplementedStatus = 501;
const jsonType: Header = ["content-type", "application/json"];

export class ConnectUnary implements Dialect {
  readonly protocol = "connect";
  readonly requestFields: readonly Header[];
  readonly isBodyless: boolean;
  readonly #request: ConnectRequest;
  #parts: Buffer[] = [];
  #bytes = 0;
  #head: readonly Header[] = [];
  #messages: FrameCollector | undefined;
  readonly #answers: Framed[] = [];
  readonly #isExposed: boolean;

  /** `isExposed`: whether the method exists outside; if not, the HTTP status is 404. */
  constructor(request: ConnectRequest, isExposed: boolean) {
    this.#request = request;
    this.#isExposed = isExposed;
    this.requestFields = request.fields;
    this.isBodyless = request.message !== undefined;
  }

  body(call: DialectCall, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    this.#bytes += end - start;
    if (this.#bytes > call.messageBytesMax)
      return void call.fail(status.RESOURCE_EXHAUSTED, `the message is longer than ${call.messageBytesMax} bytes`);
    if (!call.keep(end - start)) return;
    this.#parts.push(Buffer.from(bytes.subarray(start, end)));
    if (!ended) return;
    const { message, isGzip, codec } = this.#request;
    const all = message ?? Buffer.concat(this.#parts);
    this.#parts = [];
    const isCompressed = isGzip && all.length > 0;
    const plain = codec !== undefined && isCompressed ? unzip(call, all) : all;
    const binary = codec === undefined ? plain : plain && translate(call, () => codec.requestToBinary(plain));
    if (binary === undefined) return;
    const framed = frame(isCompressed && codec === undefined ? compressed : 0, binary);
    call.deliver(framed, 0, framed.length, true);
  }

  head(_call: DialectCall, headers: readonly Header[]): void {
    this.#head = headers;
  }

  data(call: DialectCall, bytes: Uint8Array, start: number, end: number): void {
    if (!call.keep(end - start)) return;
    this.#messages ??= new FrameCollector(call.messageBytesMax);
    const whole = this.#messages.add(bytes, start, end);
    if (whole === undefined) return void tooLong(call);
    this.#answers.push(...whole);
  }

  end(call: DialectCall, trailers: readonly Header[]): void {
    const { exchange } = call;
    const said = connectStatus(trailers);
    const [answer, ...more] = this.#answers;
    const about = [
      ...passedFields(this.#head),
      ...passedFields(trailers).map(([name, value]): Header => [`trailer-${name}`, value]),
    ];
    if (said.error !== undefined) {
      const isMissing = !this.#isExposed && said.httpStatus === unimplementedStatus;
      answerError(exchange, isMissing ? { ...said, httpStatus: 404 } : said, about);
    } else if (answer === undefined || more.length > 0) {
      const why = `the method answered with ${this.#answers.length} messages: it is no method of one message each way`;
      answerError(exchange, connectError(status.UNIMPLEMENTED, why), about);
    } else this.#succeed(call, answer, about);
  }

  #succeed(call: DialectCall, { flags, message }: Framed, about: readonly Header[]): void {
    const { exchange, messageBytesMax } = call;
    const { codec, isJson, takesGzip } = this.#request;
    const isCompressed = (flags & compressed) !== 0;
    try {
      const plain = isCompressed && !takesGzip ? gunzipSync(message, { maxOutputLength: messageBytesMax }) : message;
      const isZipped = isCompressed && takesGzip;
      const type: Header = isJson ? jsonType : ["content-type", "application/proto"];
      const zipped: Header[] = isZipped ? [["content-encoding", "gzip"]] : [];
      exchange.answer(200, [type, ...zipped, ...about], codec === undefined ? plain : codec.responseToJson(plain));
    } catch (error) {
      answerError(exchange, connectError(status.INTERNAL, `the answer cannot be read: ${messageOf(error)}`), about);
    }
  }
}

/** Answers a call with an error. */
export function answerError(exchange: Exchange, { httpStatus, error }: ConnectStatus, about: readonly Header[]): void {
  exchange.answer(httpStatus, [jsonType, ...about], Buffer.from(JSON.stringify(error), "utf8"));
}

/** Returns a message of the client without compression, or undefined: the call has then failed. */
export function unzip(call: DialectCall, message: Buffer): Buffer | undefined {
  try {
    return gunzipSync(message, { maxOutputLength: call.messageBytesMax });
  } catch (error) {
    if ((error as { readonly code?: string }).code === "ERR_BUFFER_TOO_LARGE") tooLong(call);
    else call.fail(status.INVALID_ARGUMENT, "the message is not in gzip");
    return undefined;
  }
}

/** Returns what `act` returns, or undefined: the client sent a malformed message, and the call has failed. */
export function translate(call: DialectCall, act: () => Uint8Array): Uint8Array | undefined {
  try {
    return act();
  } catch (error) {
    call.fail(status.INVALID_ARGUMENT, `the message cannot be read: ${messageOf(error)}`);
    return undefined;
  }
}

export function tooLong(call: DialectCall): void {
  call.fail(status.RESOURCE_EXHAUSTED, `a message is longer than ${call.messageBytesMax} bytes`);
}
