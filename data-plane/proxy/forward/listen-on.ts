import type { Server } from "node:net";
import { AshlarError, messageOf } from "../../../core/errors.js";
import type { SocketAddress } from "../../../runtime/config.js";
import type { Logger } from "../../../runtime/log.js";

/** Has `server` listen; gives the address with its real port. Fails with `unavailable` when it is taken. */
export function listenOn(server: Server, address: SocketAddress, log: Logger): Promise<SocketAddress> {
  return new Promise((resolve, reject) => {
    const fail = (cause: NodeJS.ErrnoException) => {
      const where = "path" in address ? address.path : `${address.host}:${address.port}`;
      const why = cause.code === "EADDRINUSE" ? "it is taken by another process" : messageOf(cause);
      reject(new AshlarError("unavailable", `cannot listen on ${where}: ${why}`, { cause }));
    };
    server.once("error", fail);
    server.listen({ ...address }, () => {
      server.off("error", fail);
      server.on("error", (error) => log.warn("listener", { error: messageOf(error) }));
      const bound = server.address();
      if ("path" in address || bound === null || typeof bound === "string") return resolve(address);
      return resolve({ host: address.host, port: bound.port });
    });
  });
}
