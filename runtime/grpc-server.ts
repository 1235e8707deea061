/** A gRPC server with the rules of this project: bounded, stoppable, and no stack trace leaves it. */
import { rm } from "node:fs/promises";
import { connect } from "node:net";
import {
  logVerbosity,
  Server,
  type ServerCredentials,
  setLogVerbosity,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { HealthImplementation } from "grpc-health-check";
import { AshlarError, messageOf } from "../core/errors.js";
import type { Clock } from "./clock.js";
import { type BoundService, type CallJudge, readingTolerantly, toGrpcImplementation } from "./grpc-handlers.js";
import type { Logger } from "./log.js";
import { parseSvid, type Svid } from "./tls-identity.js";

export interface GrpcServerOptions {
  /** "HOST:PORT" (port 0: a free one) or "unix:PATH". */
  readonly bind: string;
  readonly credentials: ServerCredentials;
  readonly services: readonly BoundService[];
  /** Services that grpc.health.v1 answers SERVING for, beside "" (the server); undefined: no health service. */
  readonly health?: readonly string[];
  /** Files below proto/ that reflection describes, such as "ashlar/v1/admin.proto"; undefined: no reflection. */
  readonly reflection?: readonly string[];
  /**
   * Judges a client certificate (DER) that the TLS handshake already verified; whatever it throws ends the
   * call as UNAUTHENTICATED. Without it the rules for leaves and the time are checked. Give it to check
   * revocation.
   */
  readonly verifyPeer?: (certificate: Uint8Array, nowMs: number) => Svid;
  /** Longest message, 4 MiB by default. */
  readonly messageBytesMax?: number;
  /** Calls at once on one connection, 100 by default. */
  readonly streamsMax?: number;
  /** Memory of one HTTP/2 session in MB, 16 by default. */
  readonly sessionMegabytesMax?: number;
  readonly log: Logger;
  readonly clock: Clock;
}

export interface GrpcServer {
  /** "HOST:PORT" with the real port, or "unix:PATH". */
  readonly address: string;
  /** 0 for a Unix socket. */
  readonly port: number;
  /** What grpc.health.v1 answers for `service` from now on. */
  setServing(service: string, serving: boolean): void;
  /** Takes no more calls, lets those that run finish for `graceMs`, then cuts them. Never rejects. */
  stop(graceMs: number): Promise<void>;
}

/**
 * Starts to listen. grpc-js's channelz stays on: without it grpc-js 1.14 forgets its sessions, and a forced
 * stop cuts none of them. Fails with `unavailable` when the port is taken or the address cannot be bound. */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const { bind, services, log } = options;
  setLogVerbosity(logVerbosity.NONE); // what goes wrong is thrown; grpc-js would print it to stderr as well
  const server = new Server({
    "grpc.max_receive_message_length": options.messageBytesMax ?? 4 * 1024 * 1024,
    "grpc.max_concurrent_streams": options.streamsMax ?? 100,
    "grpc-node.max_session_memory": options.sessionMegabytesMax ?? 16,
  });
  const judge = createJudge(options);
  for (const { definition, implementation } of services) {
    server.addService(
      readingTolerantly(definition),
      toGrpcImplementation(implementation, judge) as UntypedServiceImplementation,
    );
  }
  const health = await addHealth(server, options.health);
  if (options.reflection !== undefined) await describe(server, options.reflection);
  await removeStaleSocket(bind);
  const port = await listen(server, bind, options.credentials);
  const isUnix = bind.startsWith("unix:");
  const address = isUnix ? bind : `${bind.slice(0, bind.lastIndexOf(":"))}:${port}`;
  log.debug("listening", { address });
  return {
    address,
    port: isUnix ? 0 : port,
    setServing: (service, serving) => health?.setStatus(service, serving ? "SERVING" : "NOT_SERVING"),
    stop: async (graceMs) => {
      for (const service of ["", ...(options.health ?? [])]) health?.setStatus(service, "NOT_SERVING");
      await stopServer(server, graceMs);
    },
  };
}

function createJudge(options: GrpcServerOptions): CallJudge {
  const verifyPeer = options.verifyPeer ?? verifyLeaf;
  return {
    log: options.log,
    nowMs: () => options.clock.nowMs(),
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

// Health and reflection bring protobufjs; a proxy, whose agent has neither, should not hold it.
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
      if (error === null) return resolve(port);
      server.forceShutdown();
      const text = messageOf(error);
      const why = text.includes("EADDRINUSE")
        ? bind.startsWith("unix:")
          ? `socket ${bind.slice("unix:".length)} is taken by another process`
          : `port ${bind.slice(bind.lastIndexOf(":") + 1)} is taken by another process (${bind})`
        : `cannot listen on ${bind}: ${/E[A-Z]{3,}/.exec(text)?.[0] ?? text}`;
      return reject(new AshlarError("unavailable", why, { cause: error }));
    });
  });
}

/** A socket that a killed process left behind refuses connections; only then it is removed. */
async function removeStaleSocket(bind: string): Promise<void> {
  if (!bind.startsWith("unix:")) return;
  const path = bind.slice("unix:".length);
  const isStale = await new Promise<boolean>((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
  });
  if (isStale) await rm(path, { force: true });
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
