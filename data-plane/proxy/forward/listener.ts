/** Accepts connections and turns their HTTP/2 streams into calls. */
import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { createServer as createNetServer, type Server as NetServer, type Socket } from "node:net";
import {
  createServer as createTlsServer,
  type SecureContextOptions,
  TLSSocket,
  type Server as TlsServer,
} from "node:tls";
import { AshlarError, messageOf, unreachable } from "../../../core/errors.js";
import type { SocketAddress } from "../../../runtime/config.js";
import type { Logger } from "../../../runtime/log.js";
import { parseRequestHead } from "../request-head.js";
import { AcceptedStream, type Peer } from "./accepted-stream.js";
import { fieldsToHeaders, withoutBody } from "./fields.js";
import { keepAlive } from "./keep-alive.js";

export interface ListenerLimits {
  readonly connectionsMax: number;
  /** Calls at once on one connection, advertised and enforced. */
  readonly streamsMax: number;
  readonly handshakeTimeoutMs: number;
  /** From the handshake to the peer's SETTINGS. */
  readonly prefaceTimeoutMs: number;
  /** How often every client is asked for a sign of life, and how long it may take to give it. */
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
}

/** For peers: 100 calls a connection. */
export const inboundLimits: ListenerLimits = {
  connectionsMax: 4096,
  streamsMax: 100,
  handshakeTimeoutMs: 10_000,
  prefaceTimeoutMs: 5000,
  keepaliveMs: 30_000,
  keepaliveTimeoutMs: 15_000,
};
/** For the own application: common clients hang without a word at the limit, so it is high. */
export const localLimits: ListenerLimits = { ...inboundLimits, connectionsMax: 1024, streamsMax: 1000 };

/** What keeps a connection from being taken: a word for metrics. */
export type HandshakeFailure = "tls" | "alpn" | "identity" | "preface";

export interface ListenerDeps {
  onCall(call: AcceptedStream): void;
  onHandshakeFailure(reason: HandshakeFailure, message: string): void;
  /** The number of open connections changed by `change`. */
  onConnection(change: 1 | -1): void;
  readonly log: Logger;
}

/** Mutual TLS; without it the listener speaks plain HTTP/2 to its own application. */
export interface ListenerTls {
  readonly context: SecureContextOptions;
  /** Who the peer is; fails if it is nobody who may call. Called before the first byte of HTTP/2 is read. */
  admit(socket: TLSSocket): Peer;
}

const windowBytes = 65_535;
const connectionWindowBytes = 1024 * 1024;
const goawayAllStreams = 2 ** 31 - 1;
const sessionMemoryMegabytes = { tls: 32, plain: 128 } as const;

interface Connection {
  readonly session: ServerHttp2Session;
  readonly socket: Socket;
  readonly peer: Peer | undefined;
}

export class Listener {
  readonly #deps: ListenerDeps;
  readonly #limits: ListenerLimits;
  readonly #tls: ListenerTls | undefined;
  readonly #server: NetServer | TlsServer;
  readonly #connections = new Set<Connection>();
  #draining = false;

  constructor(deps: ListenerDeps, limits: ListenerLimits, tls?: ListenerTls) {
    this.#deps = deps;
    this.#limits = limits;
    this.#tls = tls;
    this.#server = tls === undefined ? this.#createPlain() : this.#createTls(tls);
    this.#server.maxConnections = limits.connectionsMax;
  }

  /** Starts to listen; gives the address with its real port. Fails with `unavailable` when it is taken. */
  listen(address: SocketAddress): Promise<SocketAddress> {
    return new Promise((resolve, reject) => {
      const fail = (cause: NodeJS.ErrnoException) => {
        const where = "path" in address ? address.path : `${address.host}:${address.port}`;
        const why = cause.code === "EADDRINUSE" ? "it is taken by another process" : messageOf(cause);
        reject(new AshlarError("unavailable", `cannot listen on ${where}: ${why}`, { cause }));
      };
      this.#server.once("error", fail);
      this.#server.listen({ ...address }, () => {
        this.#server.off("error", fail);
        this.#server.on("error", (error) => this.#deps.log.warn("listener", { error: messageOf(error) }));
        const bound = this.#server.address();
        if ("path" in address || bound === null || typeof bound === "string") return resolve(address);
        return resolve({ host: address.host, port: bound.port });
      });
    });
  }

  /** New handshakes use `context`; open connections go on. */
  setSecureContext(context: SecureContextOptions): void {
    if ("setSecureContext" in this.#server) this.#server.setSecureContext(secureContext(context));
  }

  /** Asks `admit` about every open connection again and closes those that it now refuses. */
  admitAgain(): void {
    for (const connection of this.#connections) {
      const { socket } = connection;
      if (!(socket instanceof TLSSocket) || this.#tls === undefined) continue;
      try {
        this.#tls.admit(socket);
      } catch (error) {
        this.#deps.onHandshakeFailure("identity", messageOf(error));
        connection.session.destroy();
      }
    }
  }

  /** Takes no new connection and asks clients to go elsewhere; resolves when the last call has ended. */
  async drain(): Promise<void> {
    this.#draining = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await Promise.all([closed, ...[...this.#connections].map(({ session }) => closeGracefully(session))]);
  }

  /** Closes everything at once. */
  close(): void {
    this.#draining = true;
    this.#server.close();
    for (const { session } of this.#connections) session.destroy();
  }

  #createPlain(): NetServer {
    return createNetServer({ noDelay: true }, (socket) => this.#accept(socket, undefined));
  }

  #createTls(tls: ListenerTls): TlsServer {
    const server = createTlsServer(
      {
        ...secureContext(tls.context),
        ALPNProtocols: ["h2"],
        requestCert: true,
        rejectUnauthorized: true,
        handshakeTimeout: this.#limits.handshakeTimeoutMs,
        noDelay: true,
      },
      (socket) => this.#acceptTls(socket, tls),
    );
    server.on("tlsClientError", (error) => this.#deps.onHandshakeFailure("tls", messageOf(error)));
    return server;
  }

  #acceptTls(socket: TLSSocket, tls: ListenerTls): void {
    socket.on("error", () => {}); // the connection's end is told by its session
    const peer = this.#admit(socket, tls);
    if (peer === undefined) socket.destroy();
    else this.#accept(socket, peer);
  }

  /** undefined: refused, and counted. */
  #admit(socket: TLSSocket, tls: ListenerTls): Peer | undefined {
    if (socket.alpnProtocol !== "h2") {
      this.#deps.onHandshakeFailure("alpn", "the client does not speak h2");
      return undefined;
    }
    try {
      if (socket.isSessionReused()) throw new AshlarError("unauthenticated", "TLS sessions are not resumed");
      return tls.admit(socket);
    } catch (error) {
      this.#deps.onHandshakeFailure("identity", messageOf(error));
      return undefined;
    }
  }

  #accept(socket: Socket, peer: Peer | undefined): void {
    if (this.#draining) {
      socket.destroy();
      return;
    }
    const session = performServerHandshake(socket, {
      maxHeaderListPairs: 128 + 4,
      maxSessionMemory: sessionMemoryMegabytes[peer === undefined ? "plain" : "tls"],
      settings: {
        enablePush: false,
        initialWindowSize: windowBytes,
        maxConcurrentStreams: this.#limits.streamsMax,
        maxHeaderListSize: 16 * 1024,
      },
    });
    const connection: Connection = { session, socket, peer };
    this.#connections.add(connection);
    this.#deps.onConnection(1);
    const prefaceTimer = setTimeout(() => {
      this.#deps.onHandshakeFailure("preface", "no HTTP/2 settings within the bound");
      session.destroy();
    }, this.#limits.prefaceTimeoutMs);
    session.once("remoteSettings", () => {
      clearTimeout(prefaceTimer);
      if (!session.destroyed) session.setLocalWindowSize(connectionWindowBytes);
    });
    session.on("error", (error) => this.#deps.log.debug("connection", { error: messageOf(error) }));
    const stopKeepalive = keepAlive(session, this.#limits);
    session.on("close", () => {
      clearTimeout(prefaceTimer);
      stopKeepalive();
      this.#connections.delete(connection);
      this.#deps.onConnection(-1);
    });
    session.on("stream", (stream, headers, _flags, raw?: string[]) => {
      this.#onStream(stream, headers[":method"], raw ?? [], peer);
    });
  }

  #onStream(
    stream: ServerHttp2Stream,
    method: string | undefined,
    raw: readonly string[],
    peer: Peer | undefined,
  ): void {
    stream.on("error", () => {}); // told by "close"
    if (method !== "POST") {
      stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
      return;
    }
    const result = parseRequestHead(raw, peer === undefined ? ["http", "https"] : ["https"]);
    switch (result.kind) {
      case "head":
        this.#deps.onCall(new AcceptedStream(stream, result.head, peer));
        break;
      case "malformed":
        this.#deps.log.debug("malformed request", { why: result.why });
        stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
        break;
      case "not-grpc":
        respondAndClose(stream, 415);
        break;
      case "too-large":
        respondAndClose(stream, 431);
        break;
      default:
        unreachable(result);
    }
  }
}

function secureContext(context: SecureContextOptions): SecureContextOptions {
  return { ...context, minVersion: "TLSv1.2", secureOptions: constantsNoTicket };
}

/** SSL_OP_NO_TICKET, and there is no session store: no connection is ever resumed. */
const constantsNoTicket = 0x4000;

function respondAndClose(stream: ServerHttp2Stream, httpStatus: number): void {
  stream.once("finish", () => setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR)));
  stream.respond(fieldsToHeaders([], { ":status": httpStatus }), withoutBody);
  stream.resume();
}

/** RFC 9113 6.8: first GOAWAY for all streams, then, after a round trip, GOAWAY with the last one taken. */
function closeGracefully(session: ServerHttp2Session): Promise<void> {
  return new Promise((resolve) => {
    if (session.destroyed) return resolve();
    session.once("close", () => resolve());
    const close = () => {
      if (!session.closed) session.close();
    };
    try {
      session.goaway(constants.NGHTTP2_NO_ERROR, goawayAllStreams);
      session.ping(close);
      setTimeout(close, 1000).unref(); // a peer that answers no ping
    } catch {
      session.destroy();
    }
  });
}
