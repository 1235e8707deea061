/** Listening: how a port or a Unix socket is bound, and what is said when that fails. */
import { chmodSync } from "node:fs";
import type { Server } from "node:net";
import { AshlarError, messageOf } from "../core/errors.js";
import type { SocketAddress } from "./config.js";
import { socketMode } from "./socket-folder.js";

export interface ListenOptions {
  /** How many connections may wait to be accepted; Node's 511 unless given. */
  readonly backlog?: number;
  /** Hears of connections that could not be accepted, which is no reason to stop; nothing unless given. */
  readonly onError?: (error: Error) => void;
}

/**
 * Has `server` listen. Resolves with the address, its port being the real one. A Unix socket gets mode 0600, whatever
 * the umask, before anybody can connect. Fails as `cannotListen` says.
 */
export function listenOn<Address extends SocketAddress>(
  server: Server,
  address: Address,
  { backlog, onError = () => {} }: ListenOptions = {},
): Promise<Address> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => reject(cannotListen(renderPlace(address), cause));
    server.once("error", fail);
    server.listen({ ...address, ...(backlog === undefined ? {} : { backlog }), exclusive: true }, () => {
      server.off("error", fail);
      server.on("error", onError);
      const bound = server.address();
      if ("path" in address || bound === null || typeof bound === "string") return resolve(address);
      return resolve({ ...address, port: bound.port });
    });
    // A path is bound by now, or not at all: in the same tick nobody else has run in this process.
    if ("path" in address && server.listening) protect(server, address.path, fail);
  });
}

function protect(server: Server, path: string, fail: (cause: unknown) => void): void {
  try {
    chmodSync(path, socketMode);
  } catch (cause) {
    server.close();
    fail(cause);
  }
}

const renderPlace = (address: SocketAddress): string =>
  "path" in address ? address.path : `${address.host}:${address.port}`;

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: "it is taken by another process",
  EADDRNOTAVAIL: "this machine has no such address (EADDRNOTAVAIL)",
  EACCES: "this user may not listen there (EACCES)",
};

/** The failure to listen at `place`, as `unavailable`; `cause` may have its code in its text alone, as grpc-js has it. */
export function cannotListen(place: string, cause: unknown): AshlarError {
  if (cause instanceof AshlarError) return cause;
  const text = messageOf(cause);
  const code = /\bE[A-Z]{3,}\b/.exec(text)?.[0] ?? "";
  return new AshlarError("unavailable", `cannot listen on ${place}: ${reasons[code] ?? text}`, { cause });
}
