/** Splits the bytes of an HTTP/1.1 connection into heads and bodies. */
import { type BadRequest, type Http1Head, isBad, parseHead } from "./request-head.js";

export interface RequestTaker {
  onHead(head: Http1Head): void;
  /** Receives a part of the body, which is valid only during the call. */
  onBody(bytes: Uint8Array, start: number, end: number, ended: boolean): void;
  onBad(bad: BadRequest): void;
}

/** The most characters of the line with a chunk's length, CR and LF included. */
const chunkLineMax = 18;
const chunkLine = /^[0-9a-fA-F]{1,8}$/;
const endOfHead = Buffer.from("\r\n\r\n");
const noBytes = new Uint8Array(0);

const state = { head: 0, body: 1, chunkLine: 2, chunk: 3, chunkEnd: 4, lastLine: 5, done: 6, failed: 7 } as const;

/**
 * A pure machine: bytes go in, events come out. After a complete request nothing is parsed until `next`. Bytes of a
 * further request are kept meanwhile; the owner lets in only what one read brings.
 */
export class RequestReader {
  readonly #taker: RequestTaker;
  readonly #headBytesMax: number;
  readonly #fieldsMax: number;
  #state: number = state.head;
  /** The start of a head or of a line, or the bytes after the request. */
  #kept: Buffer = Buffer.alloc(0);
  #left = 0;
  #isReading = false;

  constructor(taker: RequestTaker, limits: { readonly headBytesMax: number; readonly fieldsMax: number }) {
    this.#taker = taker;
    this.#headBytesMax = limits.headBytesMax;
    this.#fieldsMax = limits.fieldsMax;
  }

  /** Whether a request has begun and is not complete. */
  get isWithin(): boolean {
    return this.#state === state.head ? this.#kept.length > 0 : this.#state < state.done;
  }

  /** Whether the head of a request is complete and its body is not. */
  get isInBody(): boolean {
    return this.#state > state.head && this.#state < state.done;
  }

  /** Whether the request is complete, so that nothing more is parsed. */
  get isDone(): boolean {
    return this.#state === state.done;
  }

  /** Whether bytes of a further request arrived before `next`. */
  get isAhead(): boolean {
    return this.#state === state.done && this.#kept.length > 0;
  }

  /** Reads `bytes[start, end)`. */
  read(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    this.#isReading = true;
    while (at < end && this.#state !== state.failed) {
      if (this.#state === state.done) {
        this.#kept = Buffer.concat([this.#kept, bytes.subarray(at, end)]);
        break;
      }
      at = this.#step(bytes, at, end);
    }
    this.#isReading = false;
  }

  /** Continues with the next request. */
  next(): void {
    if (this.#state !== state.done) return;
    this.#state = state.head;
    const kept = this.#kept;
    this.#kept = Buffer.alloc(0);
    if (kept.length > 0 && !this.#isReading) this.read(kept, 0, kept.length);
  }

  #step(bytes: Uint8Array, at: number, end: number): number {
    switch (this.#state) {
      case state.head:
        return this.#readHead(bytes, at, end);
      case state.body:
      case state.chunk:
        return this.#readBytes(bytes, at, end);
      default:
        return this.#readLine(bytes, at, end);
    }
  }

  #readHead(bytes: Uint8Array, at: number, end: number): number {
    const before = this.#kept.length;
    const all = Buffer.concat([this.#kept, bytes.subarray(at, end)]);
    const stop = all.indexOf(endOfHead, Math.max(0, before - 3));
    if (stop > this.#headBytesMax || (stop < 0 && all.length > this.#headBytesMax + endOfHead.length))
      return this.#fail({ status: 431, why: "the header fields are too long" }, end);
    if (stop < 0) {
      this.#kept = all;
      return end;
    }
    this.#kept = Buffer.alloc(0);
    const head = parseHead(all.toString("latin1", 0, stop), this.#fieldsMax);
    if (isBad(head)) return this.#fail(head, end);
    this.#left = head.body === "chunked" ? 0 : head.body;
    this.#state = head.body === "chunked" ? state.chunkLine : head.body === 0 ? state.done : state.body;
    this.#taker.onHead(head);
    if (head.body === 0) this.#taker.onBody(noBytes, 0, 0, true);
    return at + stop + endOfHead.length - before;
  }

  #readBytes(bytes: Uint8Array, at: number, end: number): number {
    const stop = Math.min(end, at + this.#left);
    this.#left -= stop - at;
    const ended = this.#left === 0 && this.#state === state.body;
    if (this.#left === 0) this.#state = ended ? state.done : state.chunkEnd;
    this.#taker.onBody(bytes, at, stop, ended);
    return stop;
  }

  /** Reads a line of a chunked body: a length, the end of a chunk, or the end of the body. */
  #readLine(bytes: Uint8Array, at: number, end: number): number {
    const feed = bytes.indexOf(0x0a, at);
    const stop = feed < 0 || feed >= end ? end : feed + 1;
    const line = this.#kept.toString("latin1") + Buffer.from(bytes.subarray(at, stop)).toString("latin1");
    if (line.length > chunkLineMax) return this.#fail({ status: 400, why: "a chunk is malformed" }, end);
    if (!line.endsWith("\n")) {
      this.#kept = Buffer.from(line, "latin1");
      return stop;
    }
    this.#kept = Buffer.alloc(0);
    return this.#takeLine(line) ? stop : this.#fail({ status: 400, why: "a chunk is malformed" }, end);
  }

  /** Returns false if the line is malformed. */
  #takeLine(line: string): boolean {
    if (this.#state !== state.chunkLine) {
      if (line !== "\r\n") return false;
      if (this.#state === state.chunkEnd) this.#state = state.chunkLine;
      else {
        this.#state = state.done;
        this.#taker.onBody(noBytes, 0, 0, true);
      }
      return true;
    }
    const [size = "", ...rest] = line.split("\r\n");
    if (!chunkLine.test(size) || rest.join() !== "") return false;
    this.#left = Number.parseInt(size, 16);
    this.#state = this.#left === 0 ? state.lastLine : state.chunk;
    return true;
  }

  #fail(bad: BadRequest, end: number): number {
    this.#state = state.failed;
    this.#kept = Buffer.alloc(0);
    this.#taker.onBad(bad);
    return end;
  }
}
