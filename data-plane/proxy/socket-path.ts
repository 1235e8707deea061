import { lstat, rm } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import type { SocketAddress } from "../../runtime/config.js";
import { cannotListen } from "../../runtime/listen.js";
import type { Logger } from "../../runtime/log.js";
import { checkSocketFolder, makeSocketFolder } from "../../runtime/socket-folder.js";

/**
 * Prepares a socket's path: creates its folder (mode 0700) if it is missing, and removes the socket that a killed
 * process left. Fails with `unavailable` if a process listens there, if the path is another kind of file, or if other
 * users could replace the socket. `replaces`: the process that listens there hands over, so its socket stays until it
 * is replaced.
 */
export async function prepareSocketPath(address: SocketAddress, log: Logger, replaces = false): Promise<void> {
  if (!("path" in address)) return;
  const { path } = address;
  try {
    await makeSocketFolder(dirname(path));
    const { mayOthersEnter } = await checkSocketFolder(dirname(path));
    if (mayOthersEnter) {
      log.warn("others may enter the folder of a socket: give it mode 0700", { folder: dirname(path) });
    }
    const there = await lstat(path).catch(() => undefined);
    if (there === undefined) return;
    if (!there.isSocket()) throw new Error("something that is no socket is in the way");
    if (replaces) return;
    if (await isListening(path)) throw new Error("it is taken by another process");
    await rm(path, { force: true });
  } catch (cause) {
    throw cannotListen(path, cause);
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
