/** A Unix socket for its owner alone, with a bound on its connections. */
import { rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { type Handover, listenOn } from "./listen.js";
import type { Logger } from "./log.js";

const sayEveryMs = 60_000;

interface OwnedOptions {
  readonly connectionsMax: number;
  readonly serve: (socket: Socket) => void;
  readonly handover?: Handover | undefined;
  readonly log: Logger;
}

/**
 * Listens; fails with `unavailable`. A connection above the bound is ended at once, and the existing ones stay, because
 * an application is registered only as long as its connection lives.
 */
export async function listenOwned(
  path: string,
  { connectionsMax, serve, handover, log }: OwnedOptions,
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
  await listenOn(net, handover === undefined ? { path } : { path, handover });
  return net;
}

/** Removes a socket that a killed process left behind. Only a socket that refuses connections is removed. */
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
