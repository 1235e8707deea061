import type { Server } from "node:net";
import { messageOf } from "../../../core/errors.js";
import type { SocketAddress } from "../../../runtime/config.js";
import { listenOn } from "../../../runtime/listen.js";
import type { Logger } from "../../../runtime/log.js";

/**
 * The most connections that wait to be accepted: as many as may be open (the system may allow fewer). With Node's 511 a mesh that
 * connects anew at once would overflow it: the system then drops what its clients take for a connection.
 */
const backlog = 4096;

/** Has `server` listen for calls, and logs what it could not accept. Fails with `unavailable` when the address is taken. */
export function listenForCalls<Address extends SocketAddress>(
  server: Server,
  address: Address,
  log: Logger,
): Promise<Address> {
  const onError = (error: Error) => log.warn("listener", { error: messageOf(error) });
  return listenOn(server, address, { backlog, onError });
}
