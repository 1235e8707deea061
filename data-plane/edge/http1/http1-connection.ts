/** A connection of an outside client that speaks HTTP/1.1: one request after the other. */
import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { MemoryBudget } from "../../http2/memory-budget.js";
import { errorCode } from "../../http2/protocol.js";
import { refusal } from "../../http2/refusals.js";
import type { EngineLoop } from "../../http2-sockets/engine-loop.js";
import { readSocket } from "../../http2-sockets/socket-reader.js";
import type { HeldConnection, Peer } from "../../proxy/forward/listener.js";
import type { Exchange } from "../web/exchange.js";
import { Http1Exchange, type Http1Wire } from "./http1-exchange.js";
import { Pace } from "./pace.js";
import type { BadRequest, Http1Head } from "./request-head.js";
import { RequestReader, type RequestTaker } from "./request-reader.js";

export interface Http1Deps {
  /** Answers a request. */
  take(exchange: Exchange): void;
  /** Counts a request that was refused, for one of the engine's reasons. */
  refused(reason: number): void;
  /** A fault of our own ended a connection. */
  onFault(error: unknown): void;
  readonly budget: MemoryBudget;
  readonly loop: EngineLoop;
  readonly headBytesMax: number;
  readonly fieldsMax: number;
}

/** The most bytes of a body that may wait for the mesh. */
const windowBytes = 65_536;
/** The most bytes of a body that are read and discarded so that the client receives its answer. */
const discardBytesMax = 1_048_576;
/**
 * The milliseconds that a closing connection waits for one more request. The answer says that it is the last one,
 * because a client does not expect its next request to reach a closed connection.
 */
const lastRequestMs = 1000;
const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");
const goOn = latin1("HTTP/1.1 100 Continue\r\n\r\n");

export class Http1Connection implements HeldConnection, RequestTaker, Http1Wire {
  readonly socket: Socket;
  readonly #peer: Peer;
  readonly #deps: Http1Deps;
  readonly #reader: RequestReader;
  readonly #pace: Pace;
  readonly #closeListeners: (() => void)[] = [];
  #exchange: Http1Exchange | undefined;
  #pendingBytes = 0;
  #discardedBytes = 0;
  #isLast = false;
  #shedMs = 0;
  #isPaused = false;
  #isClosed = false;

  constructor(socket: Socket, peer: Peer, deps: Http1Deps) {
    this.socket = socket;
    this.#peer = peer;
    this.#deps = deps;
    this.#reader = new RequestReader(this, deps);
    this.#pace = new Pace(deps.loop.time());
    socket.setNoDelay(true);
    socket.on("error", () => {}); // "close" follows
    socket.on("end", () => socket.destroy());
    socket.on("close", () => this.#onClose());
    readSocket(socket, (bytes, length) => this.#onBytes(bytes, length));
  }

  onClose(listener: () => void): void {
    this.#closeListeners.push(listener);
  }

  get waitingBytes(): number {
    return this.#pendingBytes;
  }

  // === HeldConnection ===

  drain(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isClosed) return resolve();
      this.#closeListeners.push(resolve);
      this.shed();
    });
  }

  shed(): void {
    this.#isLast = true;
    this.#shedMs = this.#deps.loop.time();
  }

  close(): void {
    this.socket.destroySoon();
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Ends what takes too long. Called about once a second; see `LoopMember.tick`. */
  tick(nowMs: number, lostMs: number): void {
    const { budget } = this.#deps;
    this.#shedMs += lostMs;
    this.#pace.forgive(lostMs);
    const isIdle = this.#exchange === undefined && !this.#reader.isWithin;
    if (isIdle && this.#isLast && nowMs - this.#shedMs >= lastRequestMs) return void this.socket.end();
    const late = this.#pace.lateFor(nowMs, {
      isWithinHead: this.#reader.isWithin && !this.#reader.isInBody,
      isInBody: this.#reader.isInBody && !this.#isPaused,
      isWriting: this.#pendingBytes > 0,
      isIdle: this.#exchange === undefined,
      isTight: budget.isTight,
    });
    if (late === undefined) return;
    this.#deps.refused(late === "stalled" ? refusal.stalled : refusal.timeout_headers);
    if (late !== "request" || this.#exchange?.isAnswered === true) return void this.socket.destroy();
    this.#exchange?.taker.onGone(errorCode.cancel);
    this.#last("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  }

  // === From the client ===

  #onBytes(bytes: Uint8Array, length: number): void {
    if (this.#isClosed) return;
    const { loop } = this.#deps;
    this.#pace.came(length, loop.beginRead());
    try {
      this.#reader.read(bytes, 0, length);
    } catch (error) {
      this.#deps.onFault(error);
      this.socket.destroy();
    } finally {
      loop.endRead();
    }
    this.#pauseOrResume();
  }

  onHead(head: Http1Head): void {
    this.#isLast ||= head.isLast;
    this.#pace.bodyBegins(head.body, this.#deps.loop.time());
    const exchange = new Http1Exchange(this, head, this.#peer);
    this.#exchange = exchange;
    this.#discardedBytes = 0;
    this.#deps.take(exchange);
    if (head.isExpecting && !exchange.isAnswered) this.socket.write(goOn);
  }

  onBody(bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    exchange.unconsumed += end - start;
    if (exchange.hasEnded) {
      this.#discardedBytes += end - start;
      if (this.#discardedBytes > discardBytesMax) return void this.socket.destroySoon();
    }
    exchange.taker.onBody(bytes, start, end, ended);
    if (ended) this.#nextIfOver();
  }

  onBad({ status }: BadRequest): void {
    this.#deps.refused(refusal.http1);
    this.#last(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
  }

  /** Answers a request that cannot be read to its end, and closes the connection. */
  #last(answer: string): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.taker.onGone(errorCode.protocolError);
    if (exchange?.isAnswered !== true) this.socket.write(latin1(answer));
    this.socket.destroySoon();
  }

  #onClose(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#deps.budget.give(this.#pendingBytes);
    this.#pendingBytes = 0;
    try {
      this.#exchange?.taker.onGone(errorCode.cancel);
    } catch (error) {
      this.#deps.onFault(error);
    }
    for (const listener of this.#closeListeners.splice(0)) listener();
  }

  // === From the exchange ===

  /** Whether the connection ends with this answer. */
  get isLast(): boolean {
    return this.#isLast;
  }

  write(bytes: Buffer): void {
    if (this.#isClosed || bytes.length === 0) return;
    if (this.#pendingBytes === 0) this.#pace.writes(this.#deps.loop.time());
    this.#pendingBytes += bytes.length;
    this.#deps.budget.take(bytes.length);
    this.socket.write(bytes, () => this.#onWritten(bytes.length));
  }

  #onWritten(bytes: number): void {
    if (this.#isClosed) return; // given back already
    this.#pendingBytes -= bytes;
    this.#deps.budget.give(bytes);
    this.#pace.writes(this.#deps.loop.time());
    if (this.#pendingBytes > 0) return;
    try {
      this.#exchange?.taker.onDrained();
    } catch (error) {
      this.#deps.onFault(error);
      this.socket.destroy();
    }
    this.#nextIfOver();
  }

  /** Notes that the answer is complete; the request may be too. */
  answered(): void {
    this.#nextIfOver();
  }

  consumed(): void {
    this.#pauseOrResume();
  }

  /** Continues with the next request when this one is complete and its answer was read. */
  #nextIfOver(): void {
    const exchange = this.#exchange;
    if (exchange?.hasEnded !== true || this.#pendingBytes > 0 || !this.#reader.isDone) return;
    this.#exchange = undefined;
    this.#pace.idles(this.#deps.loop.time());
    if (this.#isLast) return void this.socket.end();
    this.#reader.next();
    this.#pauseOrResume();
  }

  #pauseOrResume(): void {
    const isFull = this.#reader.isAhead || (this.#exchange?.unconsumed ?? 0) >= windowBytes;
    if (isFull === this.#isPaused || this.#isClosed) return;
    this.#isPaused = isFull;
    if (isFull) this.socket.pause();
    else {
      this.#pace.resumes(this.#deps.loop.time());
      this.socket.resume();
    }
  }
}
