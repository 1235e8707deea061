/** A protocol of outside clients other than gRPC. */
import type { EdgeProtocol } from "../../../core/kinds/gateway/gateway.js";
import type { Exchange } from "./exchange.js";
import type { Header } from "./header.js";

/** The interface of a call for its dialect. */
export interface DialectCall {
  readonly exchange: Exchange;
  /** The most bytes of one message. */
  readonly messageBytesMax: number;
  /** Passes a part of the request's messages, framed for gRPC, to the mesh. */
  deliver(bytes: Uint8Array, start: number, end: number, ended: boolean): void;
  /**
   * Counts bytes that the dialect holds in the process' budget. Returns false, after ending the call, if there is no
   * room.
   */
  keep(bytes: number): boolean;
  /** Ends the call because of what the client sent or the application answered. `code`: a gRPC status code. */
  fail(code: number, message: string): void;
}

/** Translates one call. */
export interface Dialect {
  readonly protocol: EdgeProtocol;
  /** Returns the request's fields for gRPC, pseudo-header fields left out. */
  readonly requestFields: readonly Header[];
  /** Whether the request has no body, because everything is in its head. */
  readonly isBodyless?: boolean;
  /** Receives a part of the request's body. */
  body(call: DialectCall, bytes: Uint8Array, start: number, end: number, ended: boolean): void;
  /** Receives the fields before the response's messages. */
  head(call: DialectCall, headers: readonly Header[]): void;
  /** Receives a part of the response's messages with gRPC's framing. */
  data(call: DialectCall, bytes: Uint8Array, start: number, end: number): void;
  /**
   * Receives the end of the response: `grpc-status` and the other trailers. Without an earlier `head` it is the whole
   * response.
   */
  end(call: DialectCall, trailers: readonly Header[]): void;
}
