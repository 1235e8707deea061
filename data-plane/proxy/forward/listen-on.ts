import { chmodSync } from "node:fs";
import type { Server } from "node:net";
import { AshlarError, messageOf } from "../../../core/errors.js";
import type { SocketAddress } from "../../../runtime/config.js";
import type { Logger } from "../../../runtime/log.js";
import { socketMode } from "../../../runtime/socket-folder.js";

/**
 * As many connections may wait to be accepted as may be open (the system may allow fewer). With Node's 511 a mesh that
 * connects anew at once would overflow it: the system then drops what its clients take for a connection.
 */
const backlog = 4096;

/** Has `server` listen; gives the address with its real port; a Unix socket gets mode 0600. Fails with `unavailable` when it is taken. */
export function listenOn<Address extends SocketAddress>(
  server: Server,
  address: Address,
  log: Logger,
): Promise<Address> {
  return new Promise((resolve, reject) => {
    const fail = (cause: NodeJS.ErrnoException) => {
      const where = "path" in address ? address.path : `${address.host}:${address.port}`;
      const why = cause.code === "EADDRINUSE" ? "it is taken by another process" : messageOf(cause);
      reject(new AshlarError("unavailable", `cannot listen on ${where}: ${why}`, { cause }));
    };
    server.once("error", fail);
    server.listen({ ...address, backlog }, () => {
      server.off("error", fail);
      server.on("error", (error) => log.warn("listener", { error: messageOf(error) }));
      const bound = server.address();
      if ("path" in address || bound === null || typeof bound === "string") return resolve(address);
      return resolve({ ...address, port: bound.port });
    });
    // A path is bound by now, or not at all: in the same tick nobody else has run in this process.
    if ("path" in address && server.listening) protect(server, address.path, fail);
  });
}

function protect(server: Server, path: string, fail: (cause: Error) => void): void {
  try {
    chmodSync(path, socketMode);
  } catch (cause) {
    server.close();
    fail(cause as Error);
  }
}
