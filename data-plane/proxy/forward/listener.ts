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
import type { SocketAddress } from "../../../runtime/config.js";
import type { StreamSink } from "../../http2/stream.js";
import { Accepted, type ConnectionLimits } from "./accepted.js";
import { HandshakeTurns } from "./handshake-turns.js";
import { listenForCalls } from "./listen-for-calls.js";
import type { Door, HeldConnection, ListenerDeps, ListenerTls, Peer, WebDoor } from "./listener-deps.js";
import type { ListenerLimits } from "./listener-limits.js";
import { ReaderShare } from "./reader-share.js";
import { SeldomLog } from "./seldom-log.js";
import { type After, tellHttp2 } from "./tell-http2.js";
import { fittingUnproven, UnprovenSockets } from "./unproven-sockets.js";

export type { Door, HeldConnection, ListenerDeps, ListenerTls, Peer, WebDoor } from "./listener-deps.js";

export class Listener {
  readonly #deps: ListenerDeps;
  readonly #limits: ListenerLimits;
  readonly #tls: ListenerTls | undefined;
  readonly #door: Door | undefined;
  readonly #server: NetServer | TlsServer;
  readonly #connections = new Set<HeldConnection>();
  /** Every open socket of a TLS listener, from the moment it is accepted. */
  readonly #sockets = new Set<Socket>();
  readonly #unproven: UnprovenSockets;
  readonly #unprovenMax: number;
  readonly #readers: ReaderShare;
  readonly #stopSweeping: () => void;
  readonly #crowded: SeldomLog;
  /** Accepts instead of `#server` where a balancer in front speaks first, or handshakes take turns. */
  readonly #front: NetServer | undefined;
  /** The number of open sockets of a plain listener. */
  #plain = 0;
  #draining = false;
  #address = "";

  constructor(deps: ListenerDeps, limits: ListenerLimits, tls?: ListenerTls, door?: Door) {
    this.#deps = deps;
    this.#door = door;
    this.#limits = limits;
    this.#tls = tls;
    this.#readers = new ReaderShare(limits.connectionsMax);
    this.#unprovenMax = fittingUnproven(limits.unprovenMax);
    const { loop } = deps.engine;
    const nothing = (): void => {};
    this.#unproven = new UnprovenSockets(this.#unprovenMax, limits.handshakeTimeoutMs, () => loop.time());
    this.#stopSweeping =
      tls === undefined ? nothing : loop.onTick((nowMs, lostMs) => this.#unproven.endLate(nowMs, lostMs));
    this.#crowded = new SeldomLog(deps.log);
    this.#server = tls === undefined ? this.#createPlain() : this.#createTls(tls);
    this.#front = this.#createFront();
    const accepting = this.#front ?? this.#server;
    accepting.maxConnections = limits.connectionsMax + (tls === undefined ? 0 : this.#unprovenMax);
  }

  /** Listens. Returns the address with its real port. Fails with `unavailable` if the port is taken. */
  listen<Address extends SocketAddress>(address: Address): Promise<Address> {
    this.#address = "path" in address ? address.path : `${address.host}:${address.port}`;
    return listenForCalls(this.#front ?? this.#server, address, this.#deps.log);
  }

  /** Takes a connection that another process accepted, and treats it as one accepted here. */
  take(socket: Socket): void {
    if (this.#draining) {
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    (this.#front ?? this.#server).emit("connection", socket);
  }

  /**
   * Takes a connection without a handshake, as in-memory ones are. `admit` says who is at the other end. A proxy that
   * proves identities refuses any socket that is not a TLS socket.
   */
  takeProven(socket: Socket): void {
    this.#server.emit("secureConnection", socket);
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
        connection.destroy();
      }
    }
  }

  /** Accepts no new connection and sends GOAWAY to clients. Resolves when the last call has ended. */
  async drain(): Promise<void> {
    this.#draining = true;
    // Handshakes are not waited for: one that stalls would hold up the drain, and one that ends now is refused.
    (this.#front ?? this.#server).close();
    await Promise.all([...this.#connections].map((connection) => connection.drain()));
  }

  /** Asks clients to connect elsewhere or anew. Open calls continue and new connections are accepted. */
  shed(): void {
    for (const connection of this.#connections) connection.shed();
  }

  /** Closes every connection after its last output is written. `end` may answer each open stream before. */
  close(end: (sink: StreamSink) => void): void {
    this.#draining = true;
    this.#stopSweeping();
    (this.#front ?? this.#server).close();
    for (const connection of this.#connections) connection.close(end);
    for (const socket of this.#sockets) socket.destroy();
  }

  /** In front of strangers. */
  #createFront(): NetServer | undefined {
    if (this.#door === undefined) return undefined;
    const { front } = this.#door;
    let begin = (socket: Socket): void => void this.#server.emit("connection", socket);
    if (this.#tls !== undefined) {
      const turns = new HandshakeTurns(begin);
      begin = (socket) => {
        if (this.#isLetIn(socket)) turns.add(socket);
      };
    } else if (front === undefined) return undefined;
    const after = this.#after(this.#limits.frontTimeoutMs);
    // what comes before the turn of a handshake is kept in memory: nothing is read after the first bytes
    const reading = this.#tls === undefined ? {} : { highWaterMark: 1 };
    return createNetServer({ noDelay: true, ...reading }, (socket) =>
      front === undefined ? begin(socket) : front(socket, begin, after),
    );
  }

  #after(ms: number): After {
    return (late) => this.#deps.engine.loop.after(ms, late);
  }

  #createPlain(): NetServer {
    return createNetServer({ noDelay: true }, (socket) => {
      // those that another process accepted are not counted by the server
      if (this.#isCrowded(socket, this.#plain) || this.#isTurnedAway(socket)) return;
      this.#plain += 1;
      socket.once("close", () => {
        this.#plain -= 1;
      });
      if (this.#door?.web.isOpen === true) this.#acceptEither(socket, this.#door);
      else this.#accept(socket, this.#door?.peerOf(socket), false);
    });
  }

  #createTls(tls: ListenerTls): TlsServer {
    const server = createTlsServer(
      {
        ...secureContext(tls.context),
        ...(this.#door === undefined ? { ALPNProtocols: ["h2"] } : { ALPNCallback: alpnOf(this.#door.web) }),
        requestCert: true,
        rejectUnauthorized: true,
        handshakeTimeout: nodesTimeoutMs,
        noDelay: true,
        ...tls.options,
      },
      (socket) => this.#acceptTls(socket, tls),
    );
    if (this.#door === undefined) server.on("connection", (socket: Socket) => this.#isLetIn(socket));
    server.on("tlsClientError", (error, socket) => {
      this.#deps.onHandshakeFailure("tls", messageOf(error));
      socket.destroy(); // Node never closes a socket whose handshake has not begun
    });
    return server;
  }

  /** Notes a connection whose handshake is to come; false: it was closed. */
  #isLetIn(socket: Socket): boolean {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    if (this.#isTurnedAway(socket)) return false;
    if (this.#unproven.add(socket)) return true;
    const why = `more than ${this.#unprovenMax} connections did not say who they are: the oldest are closed`;
    this.#warnCrowded(why, socket);
    return true;
  }

  #acceptTls(socket: TLSSocket, tls: ListenerTls): void {
    socket.on("error", () => {}); // "close" follows and is handled
    this.#unproven.remove(socket);
    const peer = this.#admit(socket, tls);
    if (peer === undefined) return void socket.destroy();
    if (this.#isCrowded(socket, this.#connections.size)) return;
    if (peer.reader !== undefined && !this.#readers.take(socket, peer.reader)) {
      const why = "applications that read directly have as many connections as they may: no more are taken";
      this.#warnCrowded(why, socket);
      return void socket.destroy();
    }
    this.#accept(socket, peer, socket.alpnProtocol !== "h2");
  }

  /** Closes a connection that comes while as many are `open` as there may be. */
  #isCrowded(socket: Socket, open: number): boolean {
    const { connectionsMax } = this.#limits;
    if (open < connectionsMax) return false;
    this.#warnCrowded(`peers have ${connectionsMax} connections, as many as there may be: no more are taken`, socket);
    socket.destroy();
    return true;
  }

  /** Closes a connection that is over a limit. */
  #isTurnedAway(socket: Socket): boolean {
    const reason = this.#door?.turnsAway(socket);
    if (reason === undefined) return false;
    const who = reason === "address" ? "an address has" : "the clients of a listener have";
    const message = `${who} as many connections, or open them as fast, as policy lets them: no more are taken`;
    this.#deps.onHandshakeFailure(reason, message);
    this.#warnCrowded(message, socket);
    socket.destroy();
    return true;
  }

  #warnCrowded(message: string, { remoteAddress }: Socket): void {
    this.#crowded.warn(this.#deps.engine.loop.time(), message, { listener: this.#address, latest: remoteAddress });
  }

  /** Returns the connection's peer, or undefined if it was refused and counted. */
  #admit(socket: TLSSocket, tls: ListenerTls): Peer | undefined {
    if (socket.alpnProtocol !== "h2" && this.#door?.web.isOpen !== true) {
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

  /** Serves a connection without TLS in the HTTP version that its first bytes show. */
  #acceptEither(socket: Socket, door: Door): void {
    tellHttp2(socket, this.#after(this.#limits.engine.prefaceTimeoutMs), (isHttp2) =>
      this.#accept(socket, door.peerOf(socket), !isHttp2),
    );
  }

  #accept(socket: Socket, peer: Peer | undefined, isHttp1: boolean): void {
    // What a connection costs comes before its first call.
    const { loop, overload } = this.#deps.engine;
    if (this.#draining || overload.refuses(loop.time()) === "heap") {
      socket.destroy();
      return;
    }
    const closed = (): void => void this.#connections.delete(connection);
    const connection: HeldConnection =
      isHttp1 && peer !== undefined && this.#door !== undefined
        ? this.#door.web.accept(socket, peer, closed)
        : new Accepted(socket, peer, this.#address, this.#connectionLimits, this.#deps, closed);
    this.#connections.add(connection);
  }

  /** The limits for a connection that is opened now. */
  get #connectionLimits(): ConnectionLimits {
    const { engine } = this.#limits;
    const { messageBytesMax, headerBytesMax } = this.#deps.engine;
    const isFromProxy = this.#tls !== undefined && this.#door === undefined;
    if (this.#door === undefined) return { ...engine, messageBytesMax, headerBytesMax, isFromProxy };
    const grpcOnly = !this.#door.web.isOpen;
    return {
      ...engine,
      messageBytesMax: Math.min(messageBytesMax, this.#door.messageBytesMax()),
      isFromProxy,
      headerBytesMax: Math.min(headerBytesMax, this.#door.headerBytesMax()),
      requestRules: { ...engine.requestRules, grpcOnly },
    };
  }
}

/** Returns the ALPN callback. It chooses h2 where the client speaks h2, else HTTP/1.1 where policy allows HTTP/1.1. */
function alpnOf(web: WebDoor): TlsOptions["ALPNCallback"] {
  return ({ protocols }) =>
    protocols.includes("h2") ? "h2" : web.isOpen && protocols.includes("http/1.1") ? "http/1.1" : undefined;
}

function secureContext(context: SecureContextOptions): SecureContextOptions {
  return { ...context, minVersion: "TLSv1.2", secureOptions: constantsNoTicket };
}

/**
 * `UnprovenSockets` ends handshakes; Node's own timer counts the time in which this process did not read what the peer
 * sent.
 */
const nodesTimeoutMs = 120_000;
/** SSL_OP_NO_TICKET, and there is no session store: no connection is ever resumed. */
const constantsNoTicket = 0x4000;
