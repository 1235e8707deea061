/** Accepts connections and passes on the requests that arrive on them. */

import { createServer as createNetServer, type Server as NetServer, type Socket } from "node:net";
import {
  createServer as createTlsServer,
  type SecureContextOptions,
  TLSSocket,
  type TlsOptions,
  type Server as TlsServer,
} from "node:tls";
import { AshlarError, messageOf } from "../../../core/errors.js";
import type { SpiffeId } from "../../../core/identity.js";
import type { SocketAddress } from "../../../runtime/config.js";
import type { Logger } from "../../../runtime/log.js";
import type { FieldBlock } from "../../http2/field-block.js";
import type { EngineLimits } from "../../http2/limits.js";
import type { PreparedField } from "../../http2/prepared-field.js";
import { errorCode } from "../../http2/protocol.js";
import { refusal } from "../../http2/refusals.js";
import type { Stream } from "../../http2/stream.js";
import { type ConnectionOwner, SocketConnection } from "../../http2-sockets/socket-connection.js";
import { headersAnswer } from "../answer.js";
import type { HandshakeFailure } from "../proxy-metrics.js";
import { connectionWindowBytes } from "./connection-window.js";
import type { OtherEnd } from "./endings.js";
import { excessHere, headerLimits } from "./header-limits.js";
import { listenForCalls } from "./listen-for-calls.js";
import type { ListenerLimits } from "./listener-limits.js";
import type { ProxyEngine } from "./proxy-engine.js";
import { revisionField, sendAnswer } from "./response-fields.js";
import { SeldomLog } from "./seldom-log.js";
import { fittingUnproven, UnprovenSockets } from "./unproven-sockets.js";

/** Who is at the other end of a connection, as its certificate proved. */
export interface Peer {
  readonly spiffeId: SpiffeId;
  readonly notAfterMs: number;
  /** Its IP address; undefined if the connection is closed already. */
  readonly sourceAddress: string | undefined;
  /** At a gateway: the outside client, as its certificate proved. */
  readonly client?: string | undefined;
  /** At a gateway: the host name that TLS was asked for. */
  readonly host?: string | undefined;
}

/** What a gateway asks of the connections of outside clients. */
export interface Door {
  /** Whether a connection may be used. It is asked before a byte of the connection is read. */
  lets(socket: Socket): boolean;
  /** Returns who is at the other end, on a plain listener. */
  peerOf(socket: Socket): Peer;
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

/** An accepted connection. */
class Accepted implements ConnectionOwner {
  readonly socket: Socket;
  readonly wire: SocketConnection;
  readonly #peer: Peer | undefined;
  /** The address of the listener. */
  readonly #address: string;
  readonly #deps: ListenerDeps;
  readonly #oversized: SeldomLog;
  readonly #closeListeners: (() => void)[] = [];
  #closed = false;

  constructor(
    socket: Socket,
    peer: Peer | undefined,
    address: string,
    limits: EngineLimits,
    deps: ListenerDeps,
    closed: () => void,
  ) {
    this.socket = socket;
    this.#peer = peer;
    this.#address = address;
    this.#deps = deps;
    this.#oversized = new SeldomLog(deps.log);
    this.#closeListeners.push(closed);
    const { budget, messageBytesMax, headerBytesMax } = deps.engine;
    const window = connectionWindowBytes(limits.concurrentStreamsMax, budget);
    const lists = headerLimits(headerBytesMax, peer !== undefined);
    const keepaliveMs = peer === undefined ? 0 : (deps.engine.keepaliveMs ?? limits.keepaliveMs);
    const engineLimits = { ...limits, ...lists, keepaliveMs, messageBytesMax, connectionWindowBytes: window };
    this.wire = new SocketConnection(socket, true, engineLimits, this, deps.engine);
    deps.onConnection(1);
  }

  onRequest(stream: Stream, fields: FieldBlock, endStream: boolean): void {
    try {
      this.#deps.onRequest(stream, fields, endStream, this.#peer);
    } catch (error) {
      this.#deps.log.error("a call failed", { error: messageOf(error) });
      this.#deps.engine.counters.refuse(refusal.internal);
      stream.reset(errorCode.internalError);
    }
  }

  onOversized(stream: Stream): void {
    const { engine } = this.#deps;
    const { headerListBytesMax } = stream.connection.limits;
    const excess = excessHere(this.#peer === undefined ? "outbound" : "inbound", headerListBytesMax);
    const answer = headersAnswer("request", excess, this.#deps.revision());
    this.#oversized.warn(engine.loop.time(), answer.message, { caller: this.#peer?.spiffeId ?? "the application" });
    sendAnswer(stream, answer);
  }

  lastFields(): readonly PreparedField[] {
    return revisionField(this.#deps.revision());
  }

  onCapacity(): void {}

  onClosed(): void {
    this.#closed = true;
    const { connection } = this.wire;
    const { onHandshakeFailure, onConnection, engine } = this.#deps;
    if (connection.deadReason === refusal.timeout_preface) {
      onHandshakeFailure("preface", "no HTTP/2 settings within the bound");
    }
    engine.endings.note(connection, this.#other());
    onConnection(-1);
    for (const listener of this.#closeListeners.splice(0)) listener();
  }

  #other(): OtherEnd {
    if (this.#peer === undefined) return { who: "the own application", name: this.#address };
    return { who: "a peer proxy", name: this.#peer.spiffeId, address: this.#peer.sourceAddress };
  }

  /** Sends two GOAWAYs (RFC 9113 6.8). Resolves when the last call has ended and the connection is closed. */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#closed) return resolve();
      this.#closeListeners.push(resolve);
      this.wire.shutdown();
    });
  }
}

export class Listener {
  readonly #deps: ListenerDeps;
  readonly #limits: ListenerLimits;
  readonly #tls: ListenerTls | undefined;
  readonly #door: Door | undefined;
  readonly #server: NetServer | TlsServer;
  readonly #connections = new Set<Accepted>();
  /** Every open socket of a TLS listener, from the moment it was accepted. */
  readonly #sockets = new Set<Socket>();
  readonly #unproven: UnprovenSockets;
  readonly #unprovenMax: number;
  readonly #crowded: SeldomLog;
  #draining = false;
  #address = "";

  constructor(deps: ListenerDeps, limits: ListenerLimits, tls?: ListenerTls, door?: Door) {
    this.#deps = deps;
    this.#door = door;
    this.#limits = limits;
    this.#tls = tls;
    this.#unprovenMax = fittingUnproven(limits.unprovenMax);
    this.#unproven = new UnprovenSockets(this.#unprovenMax);
    this.#crowded = new SeldomLog(deps.log);
    this.#server = tls === undefined ? this.#createPlain() : this.#createTls(tls);
    this.#server.maxConnections = limits.connectionsMax + (tls === undefined ? 0 : this.#unprovenMax);
  }

  /** Listens. Returns the address with its real port. Fails with `unavailable` if the port is taken. */
  listen<Address extends SocketAddress>(address: Address): Promise<Address> {
    this.#address = "path" in address ? address.path : `${address.host}:${address.port}`;
    return listenForCalls(this.#server, address, this.#deps.log);
  }

  /** Takes a connection that another process accepted, as if it had come here. */
  take(socket: Socket): void {
    if (this.#draining) {
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    this.#server.emit("connection", socket);
  }

  /** Uses `context` for new handshakes. Open connections continue. */
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
        connection.wire.destroy();
      }
    }
  }

  /** Accepts no new connection and sends GOAWAY to clients. Resolves when the last call has ended. */
  async drain(): Promise<void> {
    this.#draining = true;
    // Handshakes are not waited for: one that stalls would hold up the drain, and one that ends now is refused.
    this.#server.close();
    await Promise.all([...this.#connections].map((connection) => connection.drain()));
  }

  /** Asks clients to connect elsewhere or anew. Open calls continue and new connections are accepted. */
  shed(): void {
    for (const connection of this.#connections) connection.wire.shutdown();
  }

  /** Closes every connection after its last output is written. */
  close(): void {
    this.#draining = true;
    this.#server.close();
    for (const { wire } of this.#connections) {
      wire.flush();
      wire.destroy();
    }
    for (const socket of this.#sockets) socket.destroy();
  }

  #createPlain(): NetServer {
    return createNetServer({ noDelay: true }, (socket) => {
      if (this.#door?.lets(socket) === false) this.#turnAway(socket);
      else this.#accept(socket, this.#door?.peerOf(socket));
    });
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
        ...tls.options,
      },
      (socket) => this.#acceptTls(socket, tls),
    );
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      if (this.#door?.lets(socket) === false) return this.#turnAway(socket);
      if (!this.#unproven.add(socket)) {
        this.#warnCrowded(
          `more than ${this.#unprovenMax} connections did not say who they are: the oldest are closed`,
          socket,
        );
      }
    });
    server.on("tlsClientError", (error, socket) => {
      this.#deps.onHandshakeFailure("tls", messageOf(error));
      socket.destroy(); // Node never closes a socket whose handshake has not begun
    });
    return server;
  }

  #acceptTls(socket: TLSSocket, tls: ListenerTls): void {
    socket.on("error", () => {}); // "close" follows and is handled
    this.#unproven.remove(socket);
    const peer = this.#admit(socket, tls);
    if (peer === undefined) return void socket.destroy();
    const { connectionsMax } = this.#limits;
    if (this.#connections.size < connectionsMax) {
      this.#accept(socket, peer);
      return;
    }
    socket.destroy();
    this.#warnCrowded(`peers have ${connectionsMax} connections, as many as there may be: no more are taken`, socket);
  }

  #turnAway(socket: Socket): void {
    this.#warnCrowded(
      "an address has as many connections, or opens them as fast, as it may: no more are taken",
      socket,
    );
    socket.destroy();
  }

  #warnCrowded(message: string, { remoteAddress }: Socket): void {
    this.#crowded.warn(this.#deps.engine.loop.time(), message, { listener: this.#address, latest: remoteAddress });
  }

  /** Returns the connection's peer, or undefined if it was refused and counted. */
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
    // What a connection costs comes before its first call.
    const { loop, overload } = this.#deps.engine;
    if (this.#draining || overload.refuses(loop.time()) === "heap") {
      socket.destroy();
      return;
    }
    const connection: Accepted = new Accepted(socket, peer, this.#address, this.#limits.engine, this.#deps, () => {
      this.#connections.delete(connection);
    });
    this.#connections.add(connection);
  }
}

function secureContext(context: SecureContextOptions): SecureContextOptions {
  return { ...context, minVersion: "TLSv1.2", secureOptions: constantsNoTicket };
}

/** SSL_OP_NO_TICKET, and there is no session store: no connection is ever resumed. */
const constantsNoTicket = 0x4000;
