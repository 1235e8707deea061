/** What a listener is given, and what it knows about the connections that it accepted. */
import type { Socket } from "node:net";
import type { SecureContextOptions, TLSSocket, TlsOptions } from "node:tls";
import type { SpiffeId } from "../../../core/identity.js";
import type { Logger } from "../../../runtime/log.js";
import type { FieldBlock } from "../../http2/field-block.js";
import type { Stream, StreamSink } from "../../http2/stream.js";
import type { HandshakeFailure } from "../proxy-metrics.js";
import type { ProxyEngine } from "./proxy-engine.js";
import type { After } from "./tell-http2.js";

/** Who is at the other end of a connection, as its certificate proved. */
export interface Peer {
  readonly spiffeId: SpiffeId;
  readonly notAfterMs: number;
  /** The peer's IP address. undefined: the connection is closed already. */
  readonly sourceAddress: string | undefined;
  /** It is an application that reads directly, in the name of its service: the id of its proxy. undefined: it is a proxy. */
  readonly reader?: string | undefined;
  /** Whether the peer is an operator, who may replay journals. Left out: no. */
  readonly isOperator?: boolean;
  /** At a gateway: the outside client, as its certificate proved. undefined: the client has no certificate. */
  readonly client?: string | undefined;
  /** At a gateway: the host name that the client asked for in TLS. */
  readonly host?: string | undefined;
}

/** What a gateway checks on the connections of outside clients. */
export interface Door {
  /** Returns whose limit a connection exceeds, or undefined if it may be used. Called before a byte of it is read. */
  turnsAway(socket: Socket): "address" | "listener" | undefined;
  /** Returns who is at the other end, on a plain listener. */
  peerOf(socket: Socket): Peer;
  /**
   * Reads the first bytes, in which a balancer says whose connection it passes on, and then passes the connection to
   * `pass`. It has to finish before `after` calls back. Left out: no balancer is in front.
   */
  readonly front?: ((socket: Socket, pass: (socket: Socket) => void, after: After) => void) | undefined;
  /** The protocols other than gRPC that clients may speak. */
  readonly web: WebDoor;
  /** Returns the most bytes of a message, for connections that are opened now. */
  messageBytesMax(): number;
  /** Returns the most bytes of a request's header fields, for connections that are opened now. */
  headerBytesMax(): number;
}

/** Protocols of outside clients other than gRPC. */
export interface WebDoor {
  /** Whether policy now lets clients speak these protocols. It may change at any time. */
  readonly isOpen: boolean;
  /** Serves an HTTP/1.1 connection. `closed` is called when the connection has closed. */
  accept(socket: Socket, peer: Peer, closed: () => void): HeldConnection;
}

/** An open connection. */
export interface HeldConnection {
  readonly socket: Socket;
  /** Lets open calls end, then closes. Resolves when the connection is closed. */
  drain(): Promise<void>;
  /** Asks the client to connect elsewhere or again. Open calls go on. */
  shed(): void;
  /** Closes after the last output is written. `end` may answer each open stream of HTTP/2 before. */
  close(end: (sink: StreamSink) => void): void;
  /** Closes at once. */
  destroy(): void;
}

export interface ListenerDeps {
  /** Takes a request that passed every check. Must set `stream.sink` or reset the stream. `peer` is undefined on plain listeners. */
  onRequest(stream: Stream, fields: FieldBlock, endStream: boolean, peer: Peer | undefined): void;
  /** Returns the number of the revision that judges calls now, or 0 if none does. */
  revision(): number;
  onHandshakeFailure(reason: HandshakeFailure, message: string): void;
  /** The number of open connections changed by `change`. */
  onConnection(change: 1 | -1): void;
  readonly engine: ProxyEngine;
  readonly log: Logger;
}

/** The settings of mutual TLS. A listener without them speaks plain HTTP/2 with its own application. */
export interface ListenerTls {
  readonly context: SecureContextOptions;
  /** The TLS options that a gateway uses in place of mutual TLS. */
  readonly options?: Pick<TlsOptions, "rejectUnauthorized" | "requestCert" | "SNICallback">;
  /** Returns who the peer is. Throws if the peer may not call. Called before the first byte of HTTP/2 is read. */
  admit(socket: TLSSocket): Peer;
}
