/**
 * A call of an outside client in another protocol, in the form of an HTTP/2 stream with gRPC. What a dialect makes of
 * the client's bytes is handed to the stream's owner, and what the owner sends goes to the dialect; no HTTP/2 is
 * written in between.
 */
import type { EdgeProtocol } from "../../../core/kinds/gateway/gateway.js";
import { countMessages } from "../../http2/abuse-meter.js";
import { FieldBlock } from "../../http2/field-block.js";
import type { EngineLimits } from "../../http2/limits.js";
import type { MemoryBudget } from "../../http2/memory-budget.js";
import type { PreparedField } from "../../http2/prepared-field.js";
import type { PeerSettings } from "../../http2/settings.js";
import { nobody, Stream, type StreamPort, sendState } from "../../http2/stream.js";
import { FieldCheck } from "../../http2/validate-fields.js";
import type { Answer } from "../../proxy/answer.js";
import { Call } from "../../proxy/forward/call.js";
import type { Dialect, DialectCall } from "./dialect.js";
import type { BodyTaker, Exchange } from "./exchange.js";
import type { Header } from "./header.js";

/** The client may send more, and so may the upstream, while at most this many bytes wait for the other side. */
const lowBytes = 16_384;
const strict = { grpcOnly: true, scheme: undefined, refuseUnderscore: false } as const;
const request = new FieldBlock();
const check = new FieldCheck();
const text = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");

export interface WebCallDeps {
  readonly limits: EngineLimits;
  readonly budget: MemoryBudget;
  nowMs(): number;
  /** Hands the call over like a plain gRPC call of the engine. It must set the stream's sink or answer. */
  open(stream: Stream, fields: FieldBlock, ended: boolean): void;
  /** Counts a request that was refused, by the engine's reason. */
  refused(reason: number): void;
  /** Called once when a call ends that `open` received. */
  closed(call: WebCall): void;
}

export class WebCall implements StreamPort, BodyTaker, DialectCall {
  readonly exchange: Exchange;
  readonly limits: EngineLimits;
  readonly peer: PeerSettings;
  readonly budget: MemoryBudget;
  readonly control = { draining: false };
  readonly headers = { check };
  readonly streams = { freeSlot: () => this.exchange.freeSlot() };
  readonly sender: StreamPort["sender"];
  readonly data: StreamPort["data"];
  readonly #dialect: Dialect;
  readonly #stream: Stream;
  readonly #deps: WebCallDeps;
  /** Bytes of the body that the client sent and may not replace by further ones yet. */
  #heldBytes = 0;
  /** Bytes of the response that were not reported to the owner as read yet. */
  #owedBytes = 0;
  /** Bytes that the dialect holds. */
  #keptBytes = 0;

  constructor(exchange: Exchange, dialect: Dialect, deps: WebCallDeps) {
    this.exchange = exchange;
    this.peer = exchange.settings;
    this.limits = deps.limits;
    this.budget = deps.budget;
    this.#dialect = dialect;
    this.#deps = deps;
    this.sender = {
      fields: (_stream, first, fields, last, endStream) => this.#fields(listOf(first, fields, last), endStream),
      data: (_stream, bytes, start, end) => this.#respond(bytes, start, end),
    };
    this.data = { consumed: (_stream, bytes) => this.#consumed(bytes) };
    this.#stream = new Stream(this, 1, nobody, 0, 0, deps.nowMs());
    this.#stream.framed = true;
    this.#stream.headersReceived = true;
    exchange.taker = this;
  }

  get dead(): boolean {
    return this.#stream.closed;
  }

  get protocol(): EdgeProtocol {
    return this.#dialect.protocol;
  }

  get messageBytesMax(): number {
    return this.limits.messageBytesMax;
  }

  /** Bytes of the request that the owner holds until the call ends. */
  get keptBytes(): number {
    return this.#stream.keptBytes;
  }

  /** Hands the request over if it is valid as gRPC; otherwise answers 400. */
  begin(): void {
    const { authority, path } = this.exchange.request;
    request.clear();
    for (const [name, value] of [
      [":method", "POST"],
      [":scheme", "http"],
      [":path", path],
      [":authority", authority],
    ] as const)
      request.add(name, value);
    for (const [name, value] of this.#dialect.requestFields) request.add(name, value);
    const bad = check.request(request, strict);
    if (bad !== 0) {
      this.#deps.refused(bad);
      this.#close();
      this.exchange.refuse(400);
      return;
    }
    this.#deps.open(this.#stream, request, false);
    if (this.#stream.sink === nobody) this.#close(); // it was answered, and is no call
    if (this.#dialect.isBodyless === true && !this.#stream.closed)
      this.#dialect.body(this, new Uint8Array(0), 0, 0, true);
  }

  // === From the client ===

  onBody(bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    this.#heldBytes += end - start;
    if (!this.#stream.closed && this.#dialect.isBodyless !== true) this.#dialect.body(this, bytes, start, end, ended);
    this.#giveBack();
  }

  onDrained(): void {
    const stream = this.#stream;
    const owed = this.#owedBytes;
    this.#owedBytes = 0;
    const isEnd = stream.waitingEnd && stream.sending !== sendState.ended;
    if (isEnd) stream.sending = sendState.ended;
    if (!stream.closed && (owed > 0 || isEnd)) stream.sink.onTaken(stream, owed);
    if (isEnd) this.#close();
  }

  onGone(code: number): void {
    const stream = this.#stream;
    if (stream.closed) return;
    this.#close();
    stream.sink.onReset(stream, code, true, false);
    if (stream.keepSlot) this.exchange.keepSlot();
  }

  // === From the dialect ===

  deliver(bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    const stream = this.#stream;
    if (stream.closed || stream.receiveEnded || (start === end && !ended)) return;
    countMessages(stream, bytes, start, end, this.limits.messageBytesMax);
    stream.unconsumed += end - start;
    stream.receiveEnded = ended;
    stream.sink.onData(stream, bytes, start, end, ended);
  }

  keep(bytes: number): boolean {
    if (bytes > 0 && this.budget.isFull) {
      this.fail(8, "the gateway has no room for the message");
      return false;
    }
    this.budget.take(bytes);
    this.#keptBytes += bytes;
    return true;
  }

  fail(code: number, message: string): void {
    const { sink } = this.#stream;
    this.#stream.oversized = true; // it counts until it is cancelled upstream, as one does whose message is too long
    const revision = sink instanceof Call ? sink.plan?.revision : undefined;
    this.answer({ code, message, revision, decision: undefined, reason: "malformed" });
  }

  /** Ends the call with the gateway's own answer, in whatever state it is. */
  answer(answer: Answer): void {
    const { sink, closed } = this.#stream;
    if (!closed && sink instanceof Call) sink.answer(answer);
  }

  // === From the owner ===

  resetStream(stream: Stream, code: number): void {
    if (stream.closed) return;
    this.#close();
    this.exchange.abort(code);
  }

  reap(stream: Stream, code: number, reason: number): void {
    if (stream.closed) return;
    this.#deps.refused(reason);
    this.onGone(code);
    this.exchange.abort(code);
  }

  #fields(headers: readonly Header[], endStream: boolean): void {
    const stream = this.#stream;
    if (stream.closed || stream.sending === sendState.ended || stream.waitingEnd) return;
    const isFirst = stream.sending === sendState.idle;
    const [, status] = (isFirst ? headers.find(([name]) => name === ":status") : undefined) ?? [];
    const rest = headers.filter(([name]) => name !== ":status");
    const isRefused = status !== undefined && status !== "200";
    stream.sending = sendState.open;
    if (endStream && stream.keepSlot) this.exchange.keepSlot();
    if (isRefused) this.exchange.refuse(Number(status), rest);
    else if (!endStream) this.#dialect.head(this, rest);
    else this.#dialect.end(this, rest);
    if (!endStream || stream.closed) return;
    stream.waitingEnd = true;
    if (!isRefused && this.exchange.waitingBytes > 0) return; // after a refusal nobody tells when the client has taken it
    stream.sending = sendState.ended;
    this.#close();
  }

  #respond(bytes: Uint8Array, start: number, end: number): number {
    const stream = this.#stream;
    if (!stream.closed && stream.sending === sendState.open && !stream.waitingEnd)
      this.#dialect.data(this, bytes, start, end);
    if (stream.closed || this.exchange.waitingBytes <= lowBytes) return end - start;
    this.#owedBytes += end - start;
    return 0;
  }

  #consumed(bytes: number): void {
    const stream = this.#stream;
    stream.unconsumed -= Math.min(bytes, stream.unconsumed);
    this.#giveBack();
  }

  #giveBack(): void {
    const held = this.#heldBytes;
    if (held === 0 || (!this.#stream.closed && this.#stream.unconsumed > lowBytes)) return;
    this.#heldBytes = 0;
    this.exchange.consumed(held);
  }

  #close(): void {
    if (!this.#stream.closed) this.#deps.closed(this);
    this.#stream.closed = true;
    this.budget.give(this.#keptBytes);
    this.#keptBytes = 0;
    this.#giveBack();
  }
}

function listOf(
  first: readonly PreparedField[] | null,
  fields: FieldBlock | null,
  last: readonly PreparedField[] | null,
): readonly Header[] {
  const headers: Header[] = (first ?? []).map(({ name, value }) => [text(name), text(value)]);
  for (let field = 0; field < (fields?.count ?? 0); field++)
    if (fields !== null && !fields.isDropped(field)) headers.push([fields.nameText(field), fields.valueText(field)]);
  for (const { name, value } of last ?? []) headers.push([text(name), text(value)]);
  return headers;
}
