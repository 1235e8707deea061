/** One request of an outside client that is not plain gRPC, with its answer, over HTTP/1.1 or HTTP/2. */
import type { PeerSettings } from "../../http2/settings.js";
import type { Peer } from "../../proxy/forward/listener.js";
import { corsFields } from "./cors-fields.js";
import type { Header } from "./header.js";

export interface WebRequest {
  readonly method: string;
  /** The path without the query. */
  readonly path: string;
  /** The query without the question mark; "" if there is none. */
  readonly query: string;
  /** The requested host, in lower case; it may contain a port. */
  readonly authority: string;
  /** Headers with names in lower case, without pseudo-header fields and `host`. */
  readonly headers: readonly Header[];
  readonly isHttp1: boolean;
}

/** Receives the body of a request. */
export interface BodyTaker {
  /** Receives bytes that are valid only during the call. They count against the client's window until `consumed`. */
  onBody(bytes: Uint8Array, start: number, end: number, ended: boolean): void;
  /** Called when everything that was sent has been read. */
  onDrained(): void;
  /** Called when the client is gone; nothing may be sent any more. */
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
  /** The origin whose page may read the answer; undefined: no page may. */
  origin: string | undefined;
  #isAnswered = false;

  constructor(request: WebRequest, peer: Peer) {
    this.request = request;
    this.peer = peer;
  }

  /** The settings that the client announced. */
  abstract readonly settings: PeerSettings;

  /** Bytes that were sent and that the client has not read. */
  abstract readonly waitingBytes: number;

  protected abstract writeHead(status: number, headers: readonly Header[], bodyBytes: number): void;

  /** Sends a part of the answer's body, which is copied. */
  abstract send(bytes: Uint8Array, start: number, end: number, ended: boolean): void;

  /** Lets the client send as many bytes more, because these bytes of the request's body are no longer needed. */
  abstract consumed(bytes: number): void;

  /** Ends the exchange at once. `code`: an HTTP/2 error code. */
  abstract abort(code: number): void;

  /** The client counts as having the call open until `freeSlot`, although it has gone or gets the end of the answer. */
  keepSlot(): void {}

  freeSlot(): void {}

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
