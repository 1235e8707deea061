/** Opens the console: its listener, its certificate, and everything that belongs to them. */
import type { Server } from "node:http";
import type { Socket } from "node:net";
import { messageOf } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import type { GateLimits } from "../../runtime/connection-gate.js";
import { type GatedListener, listenGated } from "../../runtime/gated-listener.js";
import type { BoundService } from "../../runtime/grpc-handlers.js";
import { cannotListen } from "../../runtime/listen.js";
import type { Logger } from "../../runtime/log.js";
import type { Svid } from "../../runtime/tls-identity.js";
import type { AuditTrail } from "../audit/audit-trail.js";
import type { ConsoleConfig } from "../config.js";
import { renderHost } from "../listen-address.js";
import type { ConsoleDesk } from "./console-desk.js";
import { createConsoleServer } from "./console-server.js";
import type { ConsoleTls } from "./console-tls.js";
import { EventStreams } from "./event-streams.js";
import { Login } from "./login.js";
import { MethodCalls } from "./method-calls.js";
import type { ConsolePlace } from "./request-checks.js";
import { findPagesFolder, StaticFiles } from "./static-files.js";

export interface ConsoleDeps {
  readonly mesh: string;
  readonly desk: ConsoleDesk;
  readonly service: BoundService;
  readonly audit: AuditTrail;
  readonly judge: (certificate: Uint8Array, nowMs: number) => Svid;
  /** The TLS certificate; undefined: plain HTTP, on loopback. */
  readonly tls: ConsoleTls | undefined;
  readonly limits: GateLimits;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface OpenedConsole {
  readonly port: number;
  /** The URL under which others reach it, "https://HOST:PORT". */
  readonly url: string;
  readonly streams: Pick<EventStreams, "size" | "unreadBytes" | "beat">;
  close(): void;
}

const sweepMs = 2000;
const judgeAgainMs = 60_000;

/** Listens on `port` of the configured host; fails with `unavailable` if it is taken. */
export async function openConsole(deps: ConsoleDeps, config: ConsoleConfig, port: number): Promise<OpenedConsole> {
  const { desk, tls, clock, log } = deps;
  const { host } = config.listen;
  const place: ConsolePlace = { isTls: tls !== undefined, answersTo: (name) => answersTo(name, config, tls) };
  const files = new StaticFiles(findPagesFolder());
  void files.compress().catch((error: unknown) => log.warn("the pages stay as they are", { why: messageOf(error) }));
  const calls = new MethodCalls({ ...deps, log });
  const streams = new EventStreams({ calls, sessions: desk.sessions, clock });
  const opened: { http?: Server; gate?: GatedListener } = {};
  opened.gate = await listenGated({
    ...{ host, port, clock, log, judgeAgainMs, limits: deps.limits },
    tls: tls?.options,
    protocol: "http/1.1",
    isKnown: () => false, // a session shows with its first request
    serve: (socket) => void opened.http?.emit("connection", socket),
  }).catch((cause: unknown) => {
    streams.close();
    throw cannotListen(`${renderHost(host)}:${port}`, cause);
  });
  const { gate } = opened;
  const cookieName = `${tls === undefined ? "" : "__Host-"}ashlar-${gate.port}`;
  const common = { mesh: deps.mesh, cookieName, sessions: desk.sessions };
  const login = new Login({ ...common, ...deps, isTls: place.isTls, links: desk.links });
  opened.http = createConsoleServer({
    ...{ ...common, place, login, calls, streams, files },
    prove: (socket: Socket, name: string) => gate.prove(socket, name),
    onFault: (error, path) => log.error("the console failed", { path, error: messageOf(error), stack: stackOf(error) }),
  });
  tls?.onRenew((next) => gate.renew(next));
  const sweeping = setInterval(() => desk.sessions.sweep(), sweepMs).unref();
  const url = `${place.isTls ? "https" : "http"}://${renderHost(nameOf(config, tls))}:${gate.port}`;
  return {
    port: gate.port,
    url,
    streams,
    close: () => {
      clearInterval(sweeping);
      desk.sessions.close();
      streams.close();
      gate.stopAccepting();
      opened.http?.closeAllConnections();
      gate.close();
    },
  };
}

const stackOf = (error: unknown): string | undefined => (error instanceof Error ? error.stack : undefined);

function answersTo(name: string, { hosts, listen, certificate }: ConsoleConfig, tls: ConsoleTls | undefined): boolean {
  if (name === listen.host.toLowerCase() || hosts.includes(name)) return true;
  if (certificate === undefined || tls === undefined) return false;
  const above = name.slice(name.indexOf("."));
  return tls.names().some((own) => own === name || own === `*${above}`);
}

/**
 * Returns the host name for links: a given name, else a name of the given certificate, else the address of the
 * listener.
 */
function nameOf({ hosts, listen, certificate }: ConsoleConfig, tls: ConsoleTls | undefined): string {
  const [given] = hosts;
  if (given !== undefined) return given;
  const named = certificate === undefined ? undefined : tls?.names().find((name) => !name.startsWith("*"));
  if (named !== undefined) return named;
  if (listen.host === "0.0.0.0") return "127.0.0.1";
  return listen.host === "::" ? "::1" : listen.host;
}
