/** gRPC-Web, binary and text: gRPC with the trailers in the body (PROTOCOL-WEB.md). */
import { status } from "@grpc/grpc-js";
import { Base64Reader } from "./base64-reader.js";
import type { Dialect, DialectCall } from "./dialect.js";
import type { Exchange } from "./exchange.js";
import { compressed, FrameScanner, frame } from "./frames.js";
import type { Header } from "./header.js";
import { mediaTypeOf, metadataOf } from "./request-fields.js";

/** The suffix after "+" names the encoding of messages. It is passed on, because the application decides about it. */
const types = /^application\/grpc-web(-text)?(\+[a-z0-9.-]{1,32})?$/;
const trailerFlag = 0x80;

/** Fields of HTTP and of CORS, which the gateway sets itself. */
const ofHttp = /^(content-(type|length|encoding)|transfer-encoding|trailer|access-control-.*)$/;
const passedHead = (headers: readonly Header[]): readonly Header[] => headers.filter(([name]) => !ofHttp.test(name));

export class GrpcWeb implements Dialect {
  readonly protocol = "grpc-web";
  readonly requestFields: readonly Header[];
  readonly #answerType: string;
  readonly #isTextAnswer: boolean;
  readonly #text: Base64Reader | undefined;
  readonly #frames = new FrameScanner();

  private constructor(exchange: Exchange, type: string) {
    const accepted = mediaTypeOf(exchange.header("accept"));
    this.#answerType = types.test(accepted) ? accepted : type;
    this.#isTextAnswer = this.#answerType.includes("-text");
    this.#text = type.includes("-text") ? new Base64Reader() : undefined;
    this.requestFields = [
      ["content-type", type.replace(/-web(-text)?/, "")],
      ["te", "trailers"],
      ...metadataOf(exchange.request),
    ];
  }

  /** Returns undefined if the request is none of gRPC-Web. */
  static of(exchange: Exchange): GrpcWeb | undefined {
    const type = mediaTypeOf(exchange.header("content-type"));
    return types.test(type) ? new GrpcWeb(exchange, type) : undefined;
  }

  body(call: DialectCall, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    if (this.#text === undefined) return void this.#messages(call, bytes, start, end, ended);
    const read = this.#text.read(bytes, start, end);
    if (read === undefined || (ended && this.#text.isWithin))
      call.fail(status.INTERNAL, "the request is not in base64");
    else this.#messages(call, read, 0, read.length, ended);
  }

  #messages(call: DialectCall, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    if (!this.#frames.scan(bytes, start, end, compressed))
      call.fail(status.INTERNAL, "the request has a frame that is no message");
    else if (ended && this.#frames.isWithin) call.fail(status.INTERNAL, "the request ends within a message");
    else call.deliver(bytes, start, end, ended);
  }

  head({ exchange }: DialectCall, headers: readonly Header[]): void {
    exchange.respond(200, [["content-type", this.#answerType], ...passedHead(headers)]);
  }

  data(call: DialectCall, bytes: Uint8Array, start: number, end: number): void {
    this.#send(call, bytes, start, end, false);
  }

  end(call: DialectCall, trailers: readonly Header[]): void {
    if (!call.exchange.isAnswered) this.head(call, []);
    const lines = trailers.filter(([name]) => name !== "content-type").map(([name, value]) => `${name}: ${value}\r\n`);
    const block = frame(trailerFlag, Buffer.from(lines.join(""), "latin1"));
    this.#send(call, block, 0, block.length, true);
  }

  #send({ exchange }: DialectCall, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    if (!this.#isTextAnswer) return void exchange.send(bytes, start, end, ended);
    // Each piece is padded by itself, so that a message never waits for the next one.
    const text = Buffer.from(Buffer.from(bytes.subarray(start, end)).toString("base64"), "latin1");
    exchange.send(text, 0, text.length, ended);
  }
}
