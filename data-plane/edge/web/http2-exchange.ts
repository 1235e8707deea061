import { FieldBlock } from "../../http2/field-block.js";
import { fieldName } from "../../http2/field-names.js";
import type { PeerSettings } from "../../http2/settings.js";
import type { Stream, StreamSink } from "../../http2/stream.js";
import type { Peer } from "../../proxy/forward/listener.js";
import { Exchange, type WebRequest } from "./exchange.js";
import type { Header } from "./header.js";

const scratch = new FieldBlock();
const noBytes = new Uint8Array(0);

/**
 * An answer that is complete before a body of at most this many bytes waits for the body, for which a stream's window
 * has room.
 */
const awaitedBytesMax = 65_535;
const awaitedMs = 5000;

/**
 * An exchange on a stream of the engine. An early answer would end with RST_STREAM(NO_ERROR), as RFC 9113 (8.1) allows.
 * Curl then discards the answer and fails with error 92 if it was about to send the body. Therefore the end of an early
 * answer is held back until a short body has come, at most for `awaitedMs`.
 */
export class Http2Exchange extends Exchange implements StreamSink {
  readonly #stream: Stream;
  /** Runs while the end of the answer is held back. */
  #held: NodeJS.Timeout | undefined;

  constructor(stream: Stream, fields: FieldBlock, authority: string, peer: Peer) {
    super(requestOf(fields, authority), peer);
    this.#stream = stream;
    stream.sink = this;
  }

  override get settings(): PeerSettings {
    return this.#stream.connection.peer;
  }

  override get waitingBytes(): number {
    return this.#stream.waitingBytes;
  }

  /** Notes the bytes that are held for this exchange until it ends: the engine ends it when it needs room. */
  keeps(bytes: number): void {
    this.#stream.keptBytes = bytes;
  }

  protected override writeHead(status: number, headers: readonly Header[], bodyBytes: number): void {
    scratch.clear();
    scratch.add(":status", String(status));
    for (const [name, value] of headers) scratch.add(name, value);
    if (bodyBytes >= 0 && status !== 204) scratch.add("content-length", String(bodyBytes));
    this.#stream.sendFields(null, scratch, null, bodyBytes === 0 && !this.#holdsEnd());
  }

  override send(bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    this.#stream.sendData(bytes, start, end, ended && !this.#holdsEnd());
  }

  override consumed(bytes: number): void {
    this.#stream.consumed(bytes);
  }

  override abort(code: number): void {
    this.#stream.reset(code);
  }

  override keepSlot(): void {
    this.#stream.keepSlot = true;
  }

  override freeSlot(): void {
    this.#stream.release();
  }

  onResponse(): void {}

  onData(_stream: Stream, bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    this.taker.onBody(bytes, start, end, endStream);
    if (endStream) this.#endHeld();
  }

  onTrailers(): void {
    this.taker.onBody(noBytes, 0, 0, true);
    this.#endHeld();
  }

  onReset(_stream: Stream, code: number): void {
    clearTimeout(this.#held);
    this.#held = undefined;
    this.taker.onGone(code);
  }

  onTaken(stream: Stream): void {
    if (stream.waitingBytes === 0) this.taker.onDrained();
  }

  /** Returns whether the end of the answer has to wait for the rest of the request. */
  #holdsEnd(): boolean {
    const { receiveEnded, lengthLeft } = this.#stream;
    // a client that expects a 100 (Continue) sends no body after a final answer
    if (receiveEnded || lengthLeft < 0 || lengthLeft > awaitedBytesMax || this.header("expect") !== undefined)
      return false;
    this.#held = setTimeout(() => this.#endHeld(), awaitedMs).unref();
    return true;
  }

  #endHeld(): void {
    if (this.#held === undefined) return;
    clearTimeout(this.#held);
    this.#held = undefined;
    this.#stream.sendData(noBytes, 0, 0, true);
  }
}

function requestOf(fields: FieldBlock, authority: string): WebRequest {
  const headers: Header[] = [];
  let [method, target] = ["", ""];
  for (let field = 0; field < fields.count; field++) {
    if (fields.isDropped(field)) continue;
    const id = fields.nameId(field);
    if (id === fieldName.method) method = fields.valueText(field);
    else if (id === fieldName.path) target = fields.valueText(field);
    else if (id !== fieldName.authority) headers.push([fields.nameText(field), fields.valueText(field)]);
  }
  const mark = target.indexOf("?");
  const [path, query] = mark < 0 ? [target, ""] : [target.slice(0, mark), target.slice(mark + 1)];
  return { method, path, query, authority, headers, isHttp1: false };
}
