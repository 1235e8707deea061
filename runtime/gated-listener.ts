/**
 * A TCP port with a gate before TLS and TLS before HTTP. The server behind it gets only connections that passed both.
 */
import { createServer, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from "node:tls";
import { messageOf } from "../core/errors.js";
import type { Clock } from "./clock.js";
import { ConnectionGate, type GateCounts, type GatedConnection, type GateLimits } from "./connection-gate.js";
import { listenOn } from "./listen.js";
import type { Logger } from "./log.js";
import { LostTime } from "./lost-time.js";
import { PeerSilence, type Waited } from "./peer-silence.js";

export interface GatedListenerOptions {
  readonly host: string;
  /** The port; 0: any free one. */
  readonly port: number;
  /** The TLS settings; undefined: plain TCP, which is allowed on loopback only. */
  readonly tls: TlsOptions | undefined;
  /**
   * The protocol (ALPN) that clients must speak, "h2" by default. "http/1.1" also accepts clients that name no
   * protocol.
   */
  readonly protocol?: "h2" | "http/1.1";
  readonly limits: GateLimits;
  /** Returns whether the peer of a finished handshake is known; who is not may be proved later. */
  readonly isKnown: (socket: TLSSocket) => boolean;
  /** Milliseconds between two judgements of known peers. A peer that fails twice in a row is dropped. */
  readonly judgeAgainMs: number;
  /**
   * The milliseconds after its handshake that a peer may send nothing, while this process can read; undefined: any. For
   * servers that ask silent peers for a sign of life.
   */
  readonly silentMsMax?: number;
  /** The milliseconds that a handshake may take while this process can read, 10 s by default. */
  readonly handshakeMsMax?: number;
  /** Takes over an accepted connection; a `TLSSocket` with TLS. */
  readonly serve: (socket: TLSSocket | Socket) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface GatedListener {
  readonly port: number;
  readonly counts: GateCounts;
  /** Makes new handshakes use this certificate. */
  renew(tls: TlsOptions): void;
  /**
   * Notes that the peer of an accepted connection has proved to be `name`. Returns false if the connection was dropped,
   * because too many peers are known.
   */
  prove(socket: Socket, name: string): boolean;
  /** Drops the connection from the address `peer`, "HOST:PORT". */
  drop(peer: string): void;
  /** Stops accepting connections. */
  stopAccepting(): void;
  /** Drops all connections and stops listening. */
  close(): void;
}

/** More than Node's 511, so that strangers cannot keep known peers out of the queue. */
const backlog = 1024;
const handshakeMsMaxDefault = 10_000;
/** Node counts time in which this process was busy: its own limit is for a peer that ours does not see. */
const nodesHandshakeMsMax = 120_000;
const sweepMs = 500;
const sayEveryMs = 60_000;

/** Listens on the port. Fails with `unavailable` if that is not possible. */
export async function listenGated(options: GatedListenerOptions): Promise<GatedListener> {
  const { limits, clock, log, protocol = "h2" } = options;
  // a stranger's time does not go on while this process does not read what it sent
  const lost = new LostTime(sweepMs, clock.monotonicMs());
  const attendedMs = (): number => clock.monotonicMs() - lost.totalMs(clock.monotonicMs());
  const gate = new ConnectionGate(limits, attendedMs);
  const silence = new PeerSilence({
    handshakeMsMax: options.handshakeMsMax ?? handshakeMsMaxDefault,
    silentMsMax: options.silentMsMax,
  });
  const bounds = { ALPNProtocols: [protocol], handshakeTimeout: nodesHandshakeMsMax };
  const tls = createTlsServer({ ...options.tls, ...bounds });
  const byPeer = new Map<string, Admitted>();
  const known = new Set<TLSSocket>();
  const next = (socket: Socket, connection: Admitted): void => {
    if (options.tls === undefined) {
      silence.shaken(connection, attendedMs());
      options.serve(socket);
    } else {
      silence.begin(connection, attendedMs());
      tls.emit("connection", socket);
    }
  };
  const net = createServer({ noDelay: true }, (socket) => admit(socket, { gate, silence, next, byPeer }));
  tls.on("secureConnection", (socket) => {
    socket.on("error", () => socket.destroy());
    const connection = byPeer.get(peerOf(socket));
    const speaks = socket.alpnProtocol === protocol || (protocol === "http/1.1" && socket.alpnProtocol === false);
    if (connection === undefined || !speaks) return void socket.destroy();
    silence.shaken(connection, attendedMs());
    if (options.isKnown(socket)) {
      if (!gate.prove(connection, certificateOf(socket))) return;
      known.add(socket);
      socket.once("close", () => known.delete(socket));
    }
    options.serve(socket);
  });
  tls.on("tlsClientError", (error, socket) => {
    log.debug("a handshake failed", { source: peerOf(socket), why: messageOf(error) });
    socket.destroy();
  });
  const { port } = await listenOn(net, { host: options.host, port: options.port }, { backlog });
  const stopSweeping = sweepEvery(gate, log, () => {
    lost.turn(clock.monotonicMs());
    silence.sweep(attendedMs());
  });
  const doubted = new WeakSet<TLSSocket>();
  const judging = setInterval(() => {
    for (const socket of known) {
      if (options.isKnown(socket)) continue;
      if (doubted.has(socket)) socket.destroy();
      doubted.add(socket); // its calls end first, with the reason
    }
  }, options.judgeAgainMs).unref();
  return {
    port,
    get counts() {
      return gate.counts;
    },
    renew: (renewed) => tls.setSecureContext(renewed),
    prove: (socket, name) => {
      const connection = byPeer.get(peerOf(socket));
      return connection !== undefined && gate.prove(connection, name);
    },
    drop: (peer) => byPeer.get(peer)?.destroy(),
    stopAccepting: () => void net.close(),
    close: () => {
      stopSweeping();
      clearInterval(judging);
      gate.close();
    },
  };
}

type Admitted = GatedConnection & Waited;

interface Parts {
  readonly gate: ConnectionGate;
  readonly silence: PeerSilence;
  readonly next: (socket: Socket, connection: Admitted) => void;
  /** Accepted connections by the peer's address, because a TLS handshake creates another socket object. */
  readonly byPeer: Map<string, Admitted>;
}

/** Returns the fingerprint of the peer's certificate. */
const certificateOf = (socket: TLSSocket): string => socket.getPeerX509Certificate()?.fingerprint256 ?? "";

const peerOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress}:${remotePort}`;

function admit(socket: Socket, { gate, silence, next, byPeer }: Parts): void {
  const { remoteAddress } = socket;
  if (remoteAddress === undefined) return void socket.destroy(); // it is gone already
  const peer = peerOf(socket);
  const connection: Admitted = {
    address: remoteAddress,
    get bytesRead() {
      return socket.bytesRead;
    },
    destroy: () => void socket.destroy(),
  };
  socket.once("close", () => {
    gate.ended(connection);
    silence.ended(connection);
    if (byPeer.get(peer) === connection) byPeer.delete(peer);
  });
  socket.on("error", () => socket.destroy());
  byPeer.set(peer, connection);
  gate.admit(connection);
  next(socket, connection);
}

/** Drops connections whose time is over, and logs the number once a minute. */
function sweepEvery(gate: ConnectionGate, log: Logger, turn: () => void): () => void {
  let [said, saidMs] = [0, Number.NEGATIVE_INFINITY];
  const timer = setInterval(() => {
    turn();
    gate.sweep();
    const { dropped, strangers } = gate.counts;
    if (dropped === said || performance.now() - saidMs < sayEveryMs) return;
    log.warn("connections that did not say who they are were dropped", { dropped: dropped - said, open: strangers });
    [said, saidMs] = [dropped, performance.now()];
  }, sweepMs);
  timer.unref();
  return () => clearInterval(timer);
}
