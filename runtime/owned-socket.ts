/** A Unix socket for its owner alone, with a bound on its connections. */
import { chmodSync } from "node:fs";
import { rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Logger } from "./log.js";
import { socketMode } from "./socket-folder.js";

const sayEveryMs = 60_000;

/**
 * Listens; fails with the system's error. One connection too many is ended at once, and those that are there stay: an
 * application is registered for as long as its connection lives.
 */
export function listenOwned(
  path: string,
  { connectionsMax, serve, log }: { connectionsMax: number; serve: (socket: Socket) => void; log: Logger },
): Promise<Server> {
  const net = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    serve(socket);
  });
  net.maxConnections = connectionsMax;
  let saidMs = Number.NEGATIVE_INFINITY;
  net.on("drop", () => {
    if (performance.now() - saidMs < sayEveryMs) return;
    saidMs = performance.now();
    log.warn(`${path}: more than ${connectionsMax} connections at once: those too many are refused`);
  });
  return new Promise((resolve, reject) => {
    net.once("error", reject);
    net.listen({ path }, () => {
      net.off("error", reject);
      net.on("error", () => {}); // one connection that could not be accepted is no reason to stop
      chmodSync(path, socketMode); // not by the umask, which may be anything
      resolve(net);
    });
  });
}

/** A socket that a killed process left behind refuses connections; only then it is removed. */
export async function removeStaleSocket(bind: string): Promise<void> {
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
