import { lstat, mkdir, rm, stat } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import { AshlarError, messageOf } from "../../core/errors.js";
import type { SocketAddress } from "../../runtime/config.js";
import type { Logger } from "../../runtime/log.js";

/**
 * Makes room for a socket: its folder (mode 0700 where it is missing), without what a killed process left
 * behind. Fails with `unavailable` if somebody listens there, or something else is there.
 */
export async function prepareSocketPath(address: SocketAddress, log: Logger): Promise<void> {
  if (!("path" in address)) return;
  const { path } = address;
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const { mode } = await stat(dirname(path));
    if ((mode & 0o077) !== 0) {
      log.warn("others may enter the folder of a socket: give it mode 0700", { folder: dirname(path) });
    }
    const there = await lstat(path).catch(() => undefined);
    if (there === undefined) return;
    if (!there.isSocket()) throw new Error("something that is no socket is in the way");
    if (await isListening(path)) throw new Error("it is taken by another process");
    await rm(path, { force: true });
  } catch (cause) {
    throw new AshlarError("unavailable", `cannot listen on ${path}: ${messageOf(cause)}`, { cause });
  }
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
