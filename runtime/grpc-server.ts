/** A gRPC server with this project's rules: everything is bounded, it can be stopped, and no stack trace leaves it. */
import { chmodSync } from "node:fs";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import {
  logVerbosity,
  Server,
  ServerCredentials,
  type ServerOptions,
  setLogVerbosity,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { HealthImplementation } from "grpc-health-check";
import { AshlarError, messageOf } from "../core/errors.js";
import type { Clock } from "./clock.js";
import type { GateLimits } from "./connection-gate.js";
import { type GatedListener, listenGated } from "./gated-listener.js";
import { boundAnswers, boundRequests } from "./grpc-bounds.js";
import { type BoundService, type CallJudge, readingTolerantly, toGrpcImplementation } from "./grpc-handlers.js";
import { cannotListen, type Handover } from "./listen.js";
import type { ListenerTls } from "./listener-tls.js";
import type { Logger } from "./log.js";
import { listenOwned, removeStaleSocket } from "./owned-socket.js";
import { socketMode } from "./socket-folder.js";
import { parseSvid, type Svid } from "./tls-identity.js";
import { UnreadAnswers, type UnreadLimits } from "./unread-answers.js";

export interface GrpcServerOptions {
  /** "HOST:PORT" (port 0: a free one) or "unix:PATH". */
  readonly bind: string;
  /** The TLS credentials of grpc-js (or none), or the options of our own gate in front of it. */
  readonly credentials: ServerCredentials | GateOptions;
  readonly services: readonly BoundService[];
  /** The services for which grpc.health.v1 answers SERVING, beside "" (the server); undefined: no health service. */
  readonly health?: readonly string[];
  /** Files below proto/ that reflection describes, such as "ashlar/v1/admin.proto"; undefined: no reflection. */
  readonly reflection?: readonly string[];
  /**
   * Judges a client certificate (DER) that the TLS handshake has verified. Whatever it throws ends the call as
   * UNAUTHENTICATED. If it is left out, the rules for leaf certificates and the time are checked, and revocation is
   * not.
   */
  readonly verifyPeer?: (certificate: Uint8Array, nowMs: number) => Svid;
  /** The milliseconds between two judgements of the caller of an open call or connection; 5000 by default. */
  readonly judgeAgainMs?: number;
  /** The most bytes of a request, 4 MiB by default. */
  readonly messageBytesMax?: number;
  /** The most calls at once on one connection, 100 by default. */
  readonly streamsMax?: number;
  /** For "unix:PATH": the most connections at once; those without a call end after a minute. undefined: no bound. */
  readonly connectionsMax?: number;
  /** For "unix:PATH": what a takeover of the socket needs. */
  readonly handover?: Handover | undefined;
  /** The memory of one HTTP/2 session in MB, 16 by default. */
  readonly sessionMegabytesMax?: number;
  readonly log: Logger;
  readonly clock: Clock;
}

/** A gate in front of the server, whose `bind` must then be "HOST:PORT". */
export interface GateOptions {
  readonly tls: ListenerTls;
  readonly limits: GateLimits;
  /**
   * Returns whether a certificate (DER, verified in the handshake) makes a peer known; undefined: no peer is known.
   * Strangers may send messages of at most 64 KiB and four calls at once, and are counted apart from known peers.
   */
  readonly isKnown: ((certificate: Uint8Array) => boolean) | undefined;
  /** The bytes of answers that strangers may leave unread: 32 MiB by default, 8 MiB for one network. */
  readonly unread?: UnreadLimits;
}

export interface GrpcServer {
  /** "HOST:PORT" with the real port, or "unix:PATH". */
  readonly address: string;
  /** 0 for a Unix socket. */
  readonly port: number;
  /** Sets what grpc.health.v1 answers for `service`. */
  setServing(service: string, serving: boolean): void;
  /** Stops: takes no more calls, lets running ones finish for `graceMs`, then cuts them. Never rejects. */
  stop(graceMs: number): Promise<void>;
}

/** The bounds for a peer that has not proved who it is. */
const strangerBounds = { messageBytesMax: 64 * 1024, streamsMax: 4, sessionMegabytesMax: 1 } as const;
/** The longest answer has 3 MiB (trust records). */
const unreadDefault: UnreadLimits = { bytesMax: 32 * 1024 * 1024, bytesOfNetworkMax: 8 * 1024 * 1024 };
const unixScheme = "unix:";
const requestMsMax = 30_000;
const answerMsMax = 30_000;
const idleMsMax = 5 * 60_000;
const strangerIdleMsMax = 10_000;
const socketIdleMsMax = 60_000;
const keepaliveMs = 60_000;
/** Beyond `keepaliveMs`, how long a PING may wait for its answer. */
const silentMsMax = keepaliveMs + 30_000;
/** The most that grpc-js takes: it would end peers whose answers lie unread because this process is busy. */
const never = 2 ** 31 - 1;
const judgeAgainMs = 5000;

/**
 * Starts to listen. Fails with `unavailable` if the port is taken or the address cannot be bound. The channelz of
 * grpc-js stays on: without it grpc-js 1.14 loses track of its sessions, and a forced stop cuts none of them.
 */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const { bind, log, credentials } = options;
  setLogVerbosity(logVerbosity.NONE); // failures are thrown; grpc-js would also print them to stderr
  const parts =
    credentials instanceof ServerCredentials
      ? await listenPlainly(options, credentials)
      : await listenBehindGate(options, credentials);
  const isUnix = bind.startsWith("unix:");
  const address = isUnix ? bind : `${bind.slice(0, bind.lastIndexOf(":"))}:${parts.port}`;
  log.debug("listening", { address });
  const set = (service: string, state: "SERVING" | "NOT_SERVING"): void => {
    for (const { health } of parts.servers) health?.setStatus(service, state);
  };
  return {
    address,
    port: isUnix ? 0 : parts.port,
    setServing: (service, serving) => set(service, serving ? "SERVING" : "NOT_SERVING"),
    stop: async (graceMs) => {
      for (const service of ["", ...(options.health ?? [])]) set(service, "NOT_SERVING");
      parts.gate?.stopAccepting();
      await Promise.all(parts.servers.map(({ server }) => stopServer(server, graceMs)));
      parts.gate?.close();
    },
  };
}

interface Listening {
  readonly port: number;
  readonly servers: readonly BuiltServer[];
  readonly gate?: Pick<GatedListener, "stopAccepting" | "close">;
}

async function listenPlainly(options: GrpcServerOptions, credentials: ServerCredentials): Promise<Listening> {
  const { bind, connectionsMax, handover, log } = options;
  await removeStaleSocket(bind);
  if (connectionsMax === undefined) {
    const built = await buildServer(options);
    return { port: await listen(built.server, bind, credentials), servers: [built] };
  }
  const bounds = { "grpc.max_connection_idle_ms": socketIdleMsMax, interceptors: [boundRequests(requestMsMax)] };
  const built = await buildServer(options, bounds);
  const injector = built.server.createConnectionInjector(credentials);
  try {
    const serve = (socket: Socket): void => injector.injectConnection(socket);
    const net = await listenOwned(bind.slice(unixScheme.length), { connectionsMax, serve, handover, log });
    return { port: 0, servers: [built], gate: { stopAccepting: () => void net.close(), close: () => {} } };
  } catch (cause) {
    built.server.forceShutdown();
    throw cannotListen(bind, cause);
  }
}

async function listenBehindGate(options: GrpcServerOptions, behind: GateOptions): Promise<Listening> {
  const { tls, limits, isKnown, unread = unreadDefault } = behind;
  let drop = (_peer: string): void => {};
  const answers = { unread: new UnreadAnswers(unread), msMax: answerMsMax, drop: (peer: string) => drop(peer) };
  const bounded = {
    "grpc.keepalive_time_ms": keepaliveMs,
    "grpc.keepalive_timeout_ms": never,
    interceptors: [boundRequests(requestMsMax)],
  };
  const strangers = await buildServer(
    { ...options, ...strangerBounds },
    {
      ...bounded,
      interceptors: [...bounded.interceptors, boundAnswers(answers)],
      "grpc.max_connection_idle_ms": strangerIdleMsMax,
    },
  );
  const known = isKnown && (await buildServer(options, { ...bounded, "grpc.max_connection_idle_ms": idleMsMax }));
  const toStrangers = strangers.server.createConnectionInjector(ServerCredentials.createInsecure());
  const toKnown = known?.server.createConnectionInjector(ServerCredentials.createInsecure());
  const isKnownPeer = (socket: TLSSocket): boolean => {
    const { raw } = socket.getPeerCertificate() ?? {};
    return raw !== undefined && isKnown?.(raw) === true;
  };
  const { bind, clock, log } = options;
  const at = bind.lastIndexOf(":");
  const place = { host: bind.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(bind.slice(at + 1)) };
  try {
    const gate = await listenGated({
      ...place,
      limits,
      clock,
      log,
      tls: tls.current,
      isKnown: isKnownPeer,
      silentMsMax,
      judgeAgainMs: options.judgeAgainMs ?? judgeAgainMs,
      serve: (socket) => (isKnownPeer(socket as TLSSocket) && toKnown ? toKnown : toStrangers).injectConnection(socket),
    });
    drop = (peer) => gate.drop(peer);
    tls.onRenew((next) => gate.renew(next));
    return { port: gate.port, servers: known === undefined ? [strangers] : [strangers, known], gate };
  } catch (cause) {
    for (const one of [strangers, known]) one?.server.forceShutdown();
    throw cannotListen(bind, cause);
  }
}

interface BuiltServer {
  readonly server: Server;
  readonly health: HealthImplementation | undefined;
}

/** Builds a grpc-js server with all its services; `more`: further options of grpc-js. */
async function buildServer(options: GrpcServerOptions, more: ServerOptions = {}): Promise<BuiltServer> {
  const server = new Server({
    "grpc.max_receive_message_length": options.messageBytesMax ?? 4 * 1024 * 1024,
    "grpc.max_concurrent_streams": options.streamsMax ?? 100,
    "grpc-node.max_session_memory": options.sessionMegabytesMax ?? 16,
    ...more,
  });
  const judge = createJudge(options);
  for (const { definition, implementation } of options.services) {
    server.addService(
      readingTolerantly(definition),
      toGrpcImplementation(implementation, judge) as UntypedServiceImplementation,
    );
  }
  const health = await addHealth(server, options.health);
  if (options.reflection !== undefined) await describe(server, options.reflection);
  return { server, health };
}

function createJudge(options: GrpcServerOptions): CallJudge {
  const verifyPeer = options.verifyPeer ?? verifyLeaf;
  return {
    log: options.log,
    nowMs: () => options.clock.nowMs(),
    judgeAgainMs: options.judgeAgainMs ?? judgeAgainMs,
    verifyPeer: (certificate) => {
      try {
        return verifyPeer(certificate, options.clock.nowMs());
      } catch (cause) {
        throw new AshlarError("unauthenticated", `client ${messageOf(cause)}`, { cause });
      }
    },
  };
}

/** Checks the rules for leaves and the time of a certificate (DER) whose signatures the handshake has verified. */
export function verifyLeaf(certificate: Uint8Array, nowMs: number): Svid {
  const svid = parseSvid(certificate);
  if (nowMs < svid.notBeforeMs || nowMs >= svid.notAfterMs + 1000) {
    throw new AshlarError("invalid_identity", "certificate: expired or not valid yet");
  }
  return svid;
}

// Health and reflection load protobufjs, which a proxy saves: its agent has neither.
async function describe(server: Server, files: readonly string[]): Promise<void> {
  const { addReflection } = await import("./grpc-reflection.js");
  addReflection(server, files);
}

async function addHealth(
  server: Server,
  services: readonly string[] | undefined,
): Promise<HealthImplementation | undefined> {
  if (services === undefined) return undefined;
  const { HealthImplementation } = await import("grpc-health-check");
  const health = new HealthImplementation(
    Object.fromEntries(["", ...services].map((service) => [service, "SERVING" as const])),
  );
  health.addToServer(server);
  return health;
}

function listen(server: Server, bind: string, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(bind, credentials, (error, port) => {
      if (error === null) {
        // The umask may be anything, so the mode is set: only the owner of a Unix socket may connect.
        if (bind.startsWith(unixScheme)) chmodSync(bind.slice(unixScheme.length), socketMode);
        return resolve(port);
      }
      server.forceShutdown();
      return reject(cannotListen(bind, error));
    });
  });
}

function stopServer(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, graceMs);
    server.tryShutdown(() => {
      clearTimeout(cut);
      resolve();
    });
  });
}
