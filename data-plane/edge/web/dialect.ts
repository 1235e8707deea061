/** A protocol of outside clients other than gRPC. */
import type { EdgeProtocol } from "../../../core/kinds/gateway/gateway.js";
import type { Exchange } from "./exchange.js";
import type { Header } from "./header.js";

/** The call that a dialect speaks for, as it uses it. */
export interface DialectCall {
  readonly exchange: Exchange;
  /** The most bytes of one message. */
  readonly messageBytesMax: number;
  /** Passes a part of the request's messages, as gRPC frames them, to the mesh. */
  deliver(bytes: Uint8Array, start: number, end: number, ended: boolean): void;
  /** Counts bytes that the dialect keeps in the process' budget. Returns false, and has ended the call, if there is no room. */
  keep(bytes: number): boolean;
  /** Ends the call because of what the client sent, or what the application answered. `code`: of gRPC. */
  fail(code: number, message: string): void;
}

/** Translates one call. */
export interface Dialect {
  readonly protocol: EdgeProtocol;
  /** Returns the request's fields for gRPC, pseudo-header fields left out. */
  readonly requestFields: readonly Header[];
  /** Whether the request has no body: everything is in its head. */
  readonly isBodyless?: boolean;
  /** A part of the request's body. */
  body(call: DialectCall, bytes: Uint8Array, start: number, end: number, ended: boolean): void;
  /** The fields before the response's messages. */
  head(call: DialectCall, headers: readonly Header[]): void;
  /** A part of the response's messages, as gRPC frames them. */
  data(call: DialectCall, bytes: Uint8Array, start: number, end: number): void;
  /** The end of the response: `grpc-status` and the rest. Without `head` before, it is all of the response. */
  end(call: DialectCall, trailers: readonly Header[]): void;
}
