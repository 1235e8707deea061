/** Binds ports and Unix sockets, and says why that fails. */
import { randomBytes } from "node:crypto";
import { chmodSync, renameSync } from "node:fs";
import type { Server } from "node:net";
import { dirname, join } from "node:path";
import { AshlarError, messageOf } from "../core/errors.js";
import type { SocketAddress } from "./config.js";
import { socketMode } from "./socket-folder.js";

export interface ListenOptions {
  /** The most connections that may wait to be accepted; Node's 511 by default. */
  readonly backlog?: number;
  /** Receives errors of accepting connections, which are no reason to stop; by default they are ignored. */
  readonly onError?: (error: Error) => void;
}

/** The size of sun_path without the final NUL, in bytes. */
const socketPathBytesMax = 107;

/** What a takeover needs of a listener (decision 0041). */
export interface Handover {
  /** A listening TCP socket of another process, which this process shares from now on. */
  readonly handle?: object | undefined;
  /** Receives the server once it listens. */
  readonly opened: (server: Server) => void;
  /** Receives the step that puts a new Unix socket in place of the old one; without it the step runs at once. */
  readonly later?: ((step: () => void) => void) | undefined;
}

/** An address whose listener can be handed over. */
export type HandedAddress<Address extends SocketAddress> = Address & { readonly handover?: Handover };

/**
 * Makes `server` listen. Resolves with the address and its real port. A Unix socket gets mode 0600, whatever the umask,
 * before anybody can connect. Fails as `cannotListen` describes.
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
    // A path is bound by now or not at all, and within this tick nothing else has run in this process.
    if (!("path" in place && "path" in address && server.listening)) return;
    protect(server, place.path, fail);
    if (place.path === address.path) return;
    const replace = (): void => renameSync(place.path, address.path);
    if (handover?.later !== undefined) handover.later(replace);
    else replace();
  });
}

/**
 * Returns the path beside which a Unix socket is bound before it is moved to `path`. Whoever connects meanwhile reaches
 * the old or the new socket; and the old process, which at its end removes the name that it bound, does not remove the
 * new one.
 */
function besidePath(path: string): string {
  const beside = join(dirname(path), `.${randomBytes(3).toString("hex")}`);
  // a socket without a path beside it cannot be handed over
  return Buffer.byteLength(beside) <= socketPathBytesMax ? beside : path;
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

/**
 * Returns an `unavailable` error for a failure to listen at `place`. grpc-js states the code of `cause` only in its
 * text.
 */
export function cannotListen(place: string, cause: unknown): AshlarError {
  if (cause instanceof AshlarError) return cause;
  const text = messageOf(cause);
  const code = /\bE[A-Z]{3,}\b/.exec(text)?.[0] ?? "";
  return new AshlarError("unavailable", `cannot listen on ${place}: ${reasons[code] ?? text}`, { cause });
}
