import { FieldBlock } from "../../http2/field-block.js";
import { fieldName } from "../../http2/field-names.js";
import type { PeerSettings } from "../../http2/settings.js";
import type { Stream, StreamSink } from "../../http2/stream.js";
import type { Peer } from "../../proxy/forward/listener.js";
import { Exchange, type WebRequest } from "./exchange.js";
import type { Header } from "./header.js";

const scratch = new FieldBlock();
const noBytes = new Uint8Array(0);

/** An exchange on a stream of the engine. */
export class Http2Exchange extends Exchange implements StreamSink {
  readonly #stream: Stream;

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

  /** So many bytes are kept for this exchange until it ends: the engine ends it when it needs room. */
  keeps(bytes: number): void {
    this.#stream.keptBytes = bytes;
  }

  protected override writeHead(status: number, headers: readonly Header[], bodyBytes: number): void {
    scratch.clear();
    scratch.add(":status", String(status));
    for (const [name, value] of headers) scratch.add(name, value);
    if (bodyBytes >= 0 && status !== 204) scratch.add("content-length", String(bodyBytes));
    this.#stream.sendFields(null, scratch, null, bodyBytes === 0);
  }

  override send(bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    this.#stream.sendData(bytes, start, end, ended);
  }

  override consumed(bytes: number): void {
    this.#stream.consumed(bytes);
  }

  override abort(code: number): void {
    this.#stream.reset(code);
  }

  onResponse(): void {}

  onData(_stream: Stream, bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    this.taker.onBody(bytes, start, end, endStream);
  }

  onTrailers(): void {
    this.taker.onBody(noBytes, 0, 0, true);
  }

  onReset(_stream: Stream, code: number): void {
    this.taker.onGone(code);
  }

  onTaken(stream: Stream): void {
    if (stream.waitingBytes === 0) this.taker.onDrained();
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
