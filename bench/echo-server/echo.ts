import type { FieldBlock } from "../../data-plane/http2/field-block.js";
import { fieldName } from "../../data-plane/http2/field-names.js";
import { PreparedField } from "../../data-plane/http2/prepared-field.js";
import { errorCode } from "../../data-plane/http2/protocol.js";
import type { Stream, StreamSink } from "../../data-plane/http2/stream.js";

const plainHead = [new PreparedField(":status", "200"), new PreparedField("content-type", "application/octet-stream")];
const grpcHead = [new PreparedField(":status", "200"), new PreparedField("content-type", "application/grpc")];
const grpcTrailers = [new PreparedField("grpc-status", "0")];
const answerToNothing = Buffer.alloc(64, "ashlar ");

/** Answers one call with what the caller sends, as it arrives, or with `answer` once the whole request is here. */
export class Echo implements StreamSink {
  readonly #grpc: boolean;
  readonly #answer: Uint8Array | undefined;
  #bytes = 0;
  #answered = false;

  constructor(stream: Stream, fields: FieldBlock, endStream: boolean, answer?: Uint8Array) {
    this.#answer = answer;
    const type = fields.find(fieldName.contentType);
    this.#grpc = type >= 0 && fields.valueText(type).startsWith("application/grpc");
    if (endStream) this.#end(stream);
  }

  #head(stream: Stream): void {
    if (this.#answered) return;
    this.#answered = true;
    stream.sendFields(this.#grpc ? grpcHead : plainHead, null, null, false);
  }

  #end(stream: Stream): void {
    this.#head(stream);
    if (this.#answer !== undefined) stream.sendData(this.#answer, 0, this.#answer.length, !this.#grpc);
    if (this.#grpc) stream.sendFields(grpcTrailers, null, null, true);
    else if (this.#answer !== undefined) return;
    else if (this.#bytes === 0) stream.sendData(answerToNothing, 0, answerToNothing.length, true);
    else stream.sendData(answerToNothing, 0, 0, true);
  }

  onData(stream: Stream, bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    const length = end - start;
    this.#bytes += length;
    if (this.#answer !== undefined) stream.consumed(length);
    else if (length > 0) {
      this.#head(stream);
      stream.consumed(stream.sendData(bytes, start, end, endStream && !this.#grpc));
      if (endStream && !this.#grpc) return;
    }
    if (endStream) this.#end(stream);
  }

  onTaken(stream: Stream, bytes: number): void {
    if (this.#answer === undefined) stream.consumed(bytes);
  }

  onTrailers(stream: Stream): void {
    this.#end(stream);
  }

  onResponse(stream: Stream): void {
    stream.reset(errorCode.protocolError);
  }

  onReset(): void {}
}
