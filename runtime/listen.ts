/** Listening: how a port or a Unix socket is bound, and what is said when that fails. */
import { randomBytes } from "node:crypto";
import { chmodSync, renameSync } from "node:fs";
import type { Server } from "node:net";
import { dirname, join } from "node:path";
import { AshlarError, messageOf } from "../core/errors.js";
import type { SocketAddress } from "./config.js";
import { socketMode } from "./socket-folder.js";

export interface ListenOptions {
  /** How many connections may wait to be accepted; Node's 511 unless given. */
  readonly backlog?: number;
  /** Hears of connections that could not be accepted, which is no reason to stop; nothing unless given. */
  readonly onError?: (error: Error) => void;
}

/** sun_path, without the final NUL. */
const socketPathBytesMax = 107;

/** What a takeover needs of a listener (decision 0041). */
export interface Handover {
  /** A TCP socket at which another process listens, and which this one shares from now on. */
  readonly handle?: object | undefined;
  /** Hears of the server when it listens. */
  readonly opened: (server: Server) => void;
  /** Takes the step that puts a new Unix socket in the place of the old one; without it that is done at once. */
  readonly later?: ((step: () => void) => void) | undefined;
}

/** An address whose listener can be handed over. */
export type HandedAddress<Address extends SocketAddress> = Address & { readonly handover?: Handover };

/**
 * Has `server` listen. Resolves with the address, its port being the real one. A Unix socket gets mode 0600, whatever
 * the umask, before anybody can connect. Fails as `cannotListen` says.
 */
export function listenOn<Address extends SocketAddress>(
  server: Server,
  address: Address,
  { backlog, onError = () => {} }: ListenOptions = {},
): Promise<Address> {
  const { handover, ...plain } = address as HandedAddress<SocketAddress>;
  const place = "path" in plain && handover !== undefined ? { path: besidePath(plain.path) } : plain;
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => reject(cannotListen(renderPlace(address), cause));
    const listening = (): void => {
      server.off("error", fail);
      server.on("error", onError);
      handover?.opened(server);
      const bound = server.address();
      const isTcp = bound !== null && typeof bound !== "string";
      resolve({ ...plain, ...(isTcp ? { port: bound.port } : {}) } as unknown as Address);
    };
    server.once("error", fail);
    if (handover?.handle !== undefined) server.listen(handover.handle, backlog, listening);
    else server.listen({ ...place, ...(backlog === undefined ? {} : { backlog }), exclusive: true }, listening);
    // A path is bound by now, or not at all: in the same tick nobody else has run in this process.
    if (!("path" in place && "path" in address && server.listening)) return;
    protect(server, place.path, fail);
    if (place.path === address.path) return;
    const replace = (): void => renameSync(place.path, address.path);
    if (handover?.later !== undefined) handover.later(replace);
    else replace();
  });
}

/**
 * A Unix socket that may be handed over is bound beside its path and moved there: who connects meanwhile reaches the old
 * or the new one, and the old process, which removes the name that it bound when it closes, does not remove the new one.
 */
function besidePath(path: string): string {
  const beside = join(dirname(path), `.${randomBytes(3).toString("hex")}`);
  return Buffer.byteLength(beside) <= socketPathBytesMax ? beside : path; // such a one cannot be handed over
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
