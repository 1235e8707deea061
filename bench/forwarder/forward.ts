import type { Connection } from "../../data-plane/http2/connection.js";
import type { FieldBlock } from "../../data-plane/http2/field-block.js";
import { errorCode } from "../../data-plane/http2/protocol.js";
import type { Stream, StreamSink } from "../../data-plane/http2/stream.js";

/** Forwards one call: what arrives on one of its two streams is sent on the other. */
export class Forward implements StreamSink {
  readonly #inbound: Stream;
  #outbound: Stream | null = null;

  constructor(inbound: Stream) {
    this.#inbound = inbound;
  }

  start(upstream: Connection, fields: FieldBlock, endStream: boolean): void {
    this.#outbound = upstream.open(this);
    if (this.#outbound === null) this.#inbound.reset(errorCode.refusedStream);
    else this.#outbound.sendFields(null, fields, null, endStream);
  }

  #other(stream: Stream): Stream | null {
    return stream === this.#inbound ? this.#outbound : this.#inbound;
  }

  onResponse(_stream: Stream, fields: FieldBlock, endStream: boolean): void {
    this.#inbound.sendFields(null, fields, null, endStream);
  }

  onData(stream: Stream, bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    const other = this.#other(stream);
    stream.consumed(other === null ? end - start : other.sendData(bytes, start, end, endStream));
  }

  onTaken(stream: Stream, bytes: number): void {
    this.#other(stream)?.consumed(bytes);
  }

  onTrailers(stream: Stream, fields: FieldBlock): void {
    this.#other(stream)?.sendFields(null, fields, null, true);
  }

  onReset(stream: Stream, code: number): void {
    this.#other(stream)?.reset(stream === this.#inbound ? errorCode.cancel : code);
  }
}
