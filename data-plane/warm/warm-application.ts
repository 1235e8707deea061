/** The application in the in-memory world. It sends every message back. */
import type { Socket } from "node:net";
import { applicationLimits } from "../http2/limits.js";
import { PreparedField } from "../http2/prepared-field.js";
import { errorCode } from "../http2/protocol.js";
import type { Stream, StreamSink } from "../http2/stream.js";
import { SocketConnection, type SocketConnectionDeps } from "../http2-sockets/socket-connection.js";

const head = [new PreparedField(":status", "200"), new PreparedField("content-type", "application/grpc")];
const trailers = [new PreparedField("grpc-status", "0")];

class Answer implements StreamSink {
  #isBegun = false;

  onData(stream: Stream, bytes: Uint8Array, start: number, end: number, endStream: boolean): void {
    if (!this.#isBegun) stream.sendFields(head, null, null, false);
    this.#isBegun = true;
    stream.consumed(stream.sendData(bytes, start, end, false));
    if (endStream) stream.sendFields(trailers, null, null, true);
  }

  onTaken(stream: Stream, bytes: number): void {
    stream.consumed(bytes);
  }

  onTrailers(): void {}

  onResponse(stream: Stream): void {
    stream.reset(errorCode.protocolError);
  }

  onReset(): void {}
}

/** Serves one connection. */
export function serveInMemory(socket: Socket, deps: SocketConnectionDeps): void {
  const owner = {
    onRequest(stream: Stream): void {
      stream.sink = new Answer();
    },
    onCapacity(): void {},
    onClosed(): void {},
  };
  new SocketConnection(socket, true, { ...applicationLimits, concurrentStreamsMax: 1000 }, owner, deps);
}
