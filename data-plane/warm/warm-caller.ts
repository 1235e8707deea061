/** A client in the in-memory world, which keeps calls open on one connection. */
import type { Socket } from "node:net";
import type { FieldBlock } from "../http2/field-block.js";
import { fieldName } from "../http2/field-names.js";
import { applicationLimits } from "../http2/limits.js";
import { PreparedField } from "../http2/prepared-field.js";
import type { Stream, StreamSink } from "../http2/stream.js";
import {
  type ConnectionOwner,
  SocketConnection,
  type SocketConnectionDeps,
} from "../http2-sockets/socket-connection.js";

/** The bytes before a message: whether it is compressed, and its length. */
const messageHead = 5;

/** Describes a call. */
export interface CallShape {
  readonly method: string;
  /** The header fields besides those that every gRPC client sends. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** The length of the call's message in bytes. */
  readonly bytes: number;
  /** Whether policy denies the call. Left out: it does not. */
  readonly isDenied?: boolean;
}

/** The number of calls that several callers have to make together. */
export interface CallBudget {
  /** The number of calls that are still to be made. */
  left: number;
  /** Called at the end of each call. `isExpected`: it ended as its shape says. */
  ended(isExpected: boolean): void;
}

export interface WarmCallerOptions {
  /** The shapes, which calls take in turn. */
  readonly shapes: readonly CallShape[];
  readonly authority: string;
  /** The number of calls that are open at once. */
  readonly streams: number;
}

/** The request that a shape is sent as. */
class Request {
  readonly head: readonly PreparedField[];
  readonly body: Uint8Array;
  readonly isDenied: boolean;

  constructor({ method, fields, bytes, isDenied = false }: CallShape, authority: string) {
    const all = [
      [":method", "POST"],
      [":scheme", "http"],
      [":path", `/${method}`],
      [":authority", authority],
      ["te", "trailers"],
      ["content-type", "application/grpc"],
      ...fields,
    ];
    this.head = all.map(([name = "", value = ""]) => new PreparedField(name, value));
    const body = Buffer.alloc(messageHead + bytes, "warm");
    body.writeUInt8(0, 0);
    body.writeUInt32BE(bytes, 1);
    this.body = body;
    this.isDenied = isDenied;
  }
}

/** A call that is open. */
class OpenCall implements StreamSink {
  readonly #isDenied: boolean;
  readonly #end: (isExpected: boolean) => void;

  constructor({ isDenied }: Request, end: (isExpected: boolean) => void) {
    this.#isDenied = isDenied;
    this.#end = end;
  }

  onResponse(_stream: Stream, _fields: FieldBlock, endStream: boolean): void {
    if (endStream) this.#end(this.#isDenied); // refused: without a message
  }

  onData(stream: Stream, _bytes: Uint8Array, start: number, end: number): void {
    stream.consumed(end - start);
  }

  onTrailers(_stream: Stream, fields: FieldBlock): void {
    const status = fields.find(fieldName.grpcStatus);
    this.#end(!this.#isDenied && status >= 0 && fields.valueIs(status, "0"));
  }

  onTaken(): void {}

  onReset(): void {
    this.#end(false);
  }
}

/** Keeps calls open on one connection until the budget is used up. */
export class WarmCaller implements ConnectionOwner {
  readonly #wire: SocketConnection;
  readonly #requests: readonly Request[];
  readonly #streamsMax: number;
  readonly #budget: CallBudget;
  #open = 0;
  #made = 0;

  constructor(socket: Socket, deps: SocketConnectionDeps, budget: CallBudget, options: WarmCallerOptions) {
    const { shapes, authority, streams } = options;
    this.#budget = budget;
    this.#streamsMax = streams;
    this.#requests = shapes.map((shape) => new Request(shape, authority));
    this.#wire = new SocketConnection(socket, false, applicationLimits, this, deps);
  }

  /** Opens as many calls as there may be. */
  fill(): void {
    while (this.#budget.left > 0 && this.#open < this.#streamsMax) {
      const request = this.#requests[this.#made % this.#requests.length] as Request;
      const stream = this.#wire.connection.open(new OpenCall(request, this.#ended));
      if (stream === null) return;
      this.#made += 1;
      this.#open += 1;
      this.#budget.left -= 1;
      stream.sendFields(request.head, null, this.#changing(), false);
      stream.sendData(request.body, 0, request.body.length, true);
    }
  }

  /** Returns fields that differ in each call, as those of real callers do. */
  #changing(): readonly PreparedField[] {
    const id = (0x1000_0000 + this.#made * 7919).toString(16);
    return [
      new PreparedField("grpc-timeout", `${10_000_000 + this.#made}u`),
      new PreparedField("traceparent", `00-${id.repeat(4)}-${id.repeat(2)}-00`),
    ];
  }

  readonly #ended = (isExpected: boolean): void => {
    this.#open -= 1;
    this.#budget.ended(isExpected);
    this.fill();
  };

  onRequest(): void {}

  onCapacity(): void {
    this.fill();
  }

  onClosed(): void {}
}
