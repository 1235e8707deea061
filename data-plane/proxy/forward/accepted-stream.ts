import { constants, type ServerHttp2Stream } from "node:http2";
import { status } from "@grpc/grpc-js";
import type { SpiffeId } from "../../../core/identity.js";
import { type Answer, type AnswerReason, answerFields } from "../answer.js";
import type { Field, RequestHead } from "../request-head.js";
import { fieldsToHeaders, withoutBody, withTrailers } from "./fields.js";

/** A client that does not take the end of its call gets a reset after this long. */
const endGraceMs = 5000;

/** Who is at the other end of a connection, as its certificate proved. */
export interface Peer {
  readonly spiffeId: SpiffeId;
  readonly notAfterMs: number;
  /** Its IP address; undefined: the connection is closed already. */
  readonly sourceAddress: string | undefined;
}

/** The caller's half of a call: read the request, write the response, once. */
export class AcceptedStream {
  readonly head: RequestHead;
  /** undefined on the application's own socket. */
  readonly peer: Peer | undefined;
  readonly #stream: ServerHttp2Stream;
  readonly #endListeners: (() => void)[] = [];
  #responding = false;
  #finished = false;
  #ended = false;
  #code: status | undefined;
  #reason: AnswerReason | undefined;

  constructor(stream: ServerHttp2Stream, head: RequestHead, peer: Peer | undefined) {
    this.head = head;
    this.peer = peer;
    this.#stream = stream;
    stream.on("aborted", () => this.#end());
    stream.on("close", () => this.#end());
  }

  /** The call is over: answered, or given up by the caller. */
  get ended(): boolean {
    return this.#ended;
  }

  /** It is over or has been answered: nothing may be sent upstream for it any more. */
  get settled(): boolean {
    return this.#closed();
  }

  /** The status it ended with; CANCELLED if the caller went away first; undefined while it is open. */
  get code(): status | undefined {
    return this.#code;
  }

  /** Why the proxy itself answered; undefined where the upstream did. */
  get reason(): AnswerReason | undefined {
    return this.#reason;
  }

  /** Calls `listener` once, when the call is over (at once if it is already). */
  whenEnded(listener: () => void): void {
    if (this.#ended) listener();
    else this.#endListeners.push(listener);
  }

  /** Starts to read the request. `chunk` says by its answer whether to go on; else `resume()` goes on. */
  read(chunk: (bytes: Buffer) => boolean, end: () => void): void {
    this.#stream.on("data", (bytes: Buffer) => {
      if (!chunk(bytes)) this.#stream.pause();
    });
    this.#stream.on("end", () => {
      if (!this.#stream.aborted) end();
    });
  }

  resume(): void {
    this.#stream.resume();
  }

  onDrain(listener: () => void): void {
    this.#stream.on("drain", listener);
  }

  /** Sends the response's headers. */
  respond(fields: readonly Field[]): void {
    if (this.#closed()) return;
    this.#responding = true;
    this.#orReset(() => this.#stream.respond(fieldsToHeaders(fields, { ":status": 200 }), withTrailers));
  }

  /** Sends part of the response; false: wait for the drain listener. */
  write(chunk: Buffer): boolean {
    if (this.#closed()) return true;
    return this.#stream.write(chunk);
  }

  /** Ends the response with trailers, or with a single header block if nothing was sent (trailers-only). */
  finish(code: status, fields: readonly Field[]): void {
    if (this.#closed()) return;
    this.#finished = true;
    this.#code = code;
    if (this.#responding) this.#finishWithTrailers(fields);
    else this.#finishAtOnce(fields);
    this.#stream.resume(); // what the caller still sends is of no use
  }

  /** Ends the call with an answer of the proxy's own; a caller that does not take it is reset. */
  answer(answer: Answer): void {
    if (this.#finished) this.#giveUpUntaken();
    if (this.#closed()) return;
    this.#reason = answer.reason;
    this.finish(answer.code, [...(this.#responding ? [] : contentType), ...answerFields(answer)]);
    const timer = setTimeout(() => this.reset(constants.NGHTTP2_CANCEL), endGraceMs).unref();
    this.whenEnded(() => clearTimeout(timer));
  }

  /** The upstream's answer is whole but the caller does not take it, and now it is too late or refused. */
  #giveUpUntaken(): void {
    if (!this.#ended && this.#reason === undefined && !this.#stream.writableFinished) {
      this.reset(constants.NGHTTP2_CANCEL);
    }
  }

  /** Resets the stream; the caller sees no status. */
  reset(errorCode: number): void {
    if (!this.#stream.closed) this.#stream.close(errorCode);
  }

  #closed(): boolean {
    return this.#finished || this.#ended || this.#stream.closed || this.#stream.destroyed;
  }

  #finishAtOnce(fields: readonly Field[]): void {
    this.#stream.once("finish", () => this.#closeBothHalves());
    this.#orReset(() => this.#stream.respond(fieldsToHeaders(fields, { ":status": 200 }), withoutBody));
  }

  #finishWithTrailers(fields: readonly Field[]): void {
    this.#stream.once("wantTrailers", () => {
      this.#orReset(() => this.#stream.sendTrailers(fieldsToHeaders(fields, {})));
      this.#closeBothHalves();
    });
    this.#stream.end();
  }

  /** What an upstream says may be more than node:http2 is willing to send: that ends one call and nothing else. */
  #orReset(send: () => void): void {
    try {
      send();
    } catch {
      this.#code = status.INTERNAL;
      this.reset(constants.NGHTTP2_INTERNAL_ERROR);
    }
  }

  /** The response is whole before the request is: RST_STREAM(NO_ERROR), RFC 9113 8.1. Later, so trailers go first. */
  #closeBothHalves(): void {
    setImmediate(() => {
      if (!this.#stream.closed && !this.#stream.readableEnded) this.#stream.close(constants.NGHTTP2_NO_ERROR);
    });
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#code ??= status.CANCELLED;
    for (const listener of this.#endListeners.splice(0)) listener();
  }
}

const contentType: readonly Field[] = [["content-type", "application/grpc"]];
