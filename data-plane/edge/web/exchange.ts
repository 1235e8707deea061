/** One request of an outside client that is not plain gRPC, and its answer, over HTTP/1.1 or HTTP/2. */
import type { PeerSettings } from "../../http2/settings.js";
import type { Peer } from "../../proxy/forward/listener.js";
import { corsFields } from "./cors-fields.js";
import type { Header } from "./header.js";

export interface WebRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** Without the question mark; "" if there is none. */
  readonly query: string;
  /** The host that was asked for, in lower case; it may have a port. */
  readonly authority: string;
  /** Names are in lower case. Neither pseudo-header fields nor `host` are among them. */
  readonly headers: readonly Header[];
  readonly isHttp1: boolean;
}

/** Takes the body of a request. */
export interface BodyTaker {
  /** The bytes are valid during the call. They count against the client's window until `consumed`. */
  onBody(bytes: Uint8Array, start: number, end: number, ended: boolean): void;
  /** Everything that was sent has been taken. */
  onDrained(): void;
  /** The client is gone: nothing may be sent any more. */
  onGone(code: number): void;
}

/** Discards a body. */
const nobody = (exchange: Exchange): BodyTaker => ({
  onBody: (_bytes, start, end) => exchange.consumed(end - start),
  onDrained() {},
  onGone() {},
});

export abstract class Exchange {
  readonly request: WebRequest;
  readonly peer: Peer;
  taker: BodyTaker = nobody(this);
  /** The origin whose page gets to read the answer; undefined: no page does. */
  origin: string | undefined;
  #isAnswered = false;

  constructor(request: WebRequest, peer: Peer) {
    this.request = request;
    this.peer = peer;
  }

  /** What the client says that it takes. */
  abstract readonly settings: PeerSettings;

  /** Bytes that were sent and that the client has not taken. */
  abstract readonly waitingBytes: number;

  protected abstract writeHead(status: number, headers: readonly Header[], bodyBytes: number): void;

  /** Sends a part of the answer's body, which is copied. */
  abstract send(bytes: Uint8Array, start: number, end: number, ended: boolean): void;

  /** So many bytes of the request's body are needed no more: the client may send as many. */
  abstract consumed(bytes: number): void;

  /** Ends the exchange at once. `code`: of HTTP/2. */
  abstract abort(code: number): void;

  /** The first value of a header of the request, or undefined. */
  header(name: string): string | undefined {
    return this.request.headers.find(([one]) => one === name)?.[1];
  }

  /** Whether a head was sent. */
  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /** Sends the head of an answer, whose body follows. */
  respond(status: number, headers: readonly Header[]): void {
    this.#isAnswered = true;
    this.writeHead(status, [...headers, ...corsFields(this.origin, headers)], -1);
  }

  /** Sends a whole answer. */
  answer(status: number, headers: readonly Header[], body: Uint8Array = new Uint8Array(0)): void {
    this.#isAnswered = true;
    this.writeHead(status, [...headers, ...corsFields(this.origin, headers)], body.length);
    if (body.length > 0) this.send(body, 0, body.length, true);
  }

  /** Answers without reading more of the body. */
  refuse(status: number, headers: readonly Header[] = []): void {
    this.taker = nobody(this);
    this.answer(status, headers);
  }
}
