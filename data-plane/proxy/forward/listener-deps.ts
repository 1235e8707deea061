/** What a listener is given, and what it knows of the connections that it accepted. */
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
  /** Its IP address; undefined if the connection is closed already. */
  readonly sourceAddress: string | undefined;
  /** It is an application that reads directly, in the name of its service: the id of its proxy. undefined: it is a proxy. */
  readonly reader?: string | undefined;
  /** Whether it is an operator, who may replay journals; undefined: no. */
  readonly isOperator?: boolean;
  /** At a gateway: the outside client, as its certificate proved. */
  readonly client?: string | undefined;
  /** At a gateway: the host name that TLS was asked for. */
  readonly host?: string | undefined;
}

/** What a gateway asks of the connections of outside clients. */
export interface Door {
  /**
   * Returns undefined if a connection may be used, or whose limit it is over. It is asked before a byte of the connection is
   * read.
   */
  turnsAway(socket: Socket): "address" | "listener" | undefined;
  /** Returns who is at the other end, on a plain listener. */
  peerOf(socket: Socket): Peer;
  /**
   * Reads what somebody in front says of a connection before anything else, then passes it on; it has until `after` calls back. Left
   * out: nobody says anything.
   */
  readonly front?: ((socket: Socket, pass: (socket: Socket) => void, after: After) => void) | undefined;
  /** What else than gRPC is spoken. */
  readonly web: WebDoor;
  /** Returns the most bytes of a message, for connections that are opened now. */
  messageBytesMax(): number;
  /** Returns the most bytes of a request's header fields, for connections that are opened now. */
  headerBytesMax(): number;
}

/** Protocols of outside clients other than gRPC. */
export interface WebDoor {
  /** Whether policy lets clients speak them: it may change. */
  readonly isOpen: boolean;
  /** Serves a connection of HTTP/1.1. `closed` is called when it has closed. */
  accept(socket: Socket, peer: Peer, closed: () => void): HeldConnection;
}

/** An open connection. */
export interface HeldConnection {
  readonly socket: Socket;
  /** Lets what is open end, then closes. Resolves when the connection is closed. */
  drain(): Promise<void>;
  /** Asks the client to connect elsewhere or anew. Open calls go on. */
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

/** Mutual TLS. A listener without it speaks plain HTTP/2 with its own application. */
export interface ListenerTls {
  readonly context: SecureContextOptions;
  /** What a gateway asks of TLS in place of mutual TLS. */
  readonly options?: Pick<TlsOptions, "rejectUnauthorized" | "requestCert" | "SNICallback">;
  /** Returns who the peer is. Fails if it may not call. Called before the first byte of HTTP/2 is read. */
  admit(socket: TLSSocket): Peer;
}
