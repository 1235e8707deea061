import type { Server } from "node:net";
import { messageOf } from "../../../core/errors.js";
import type { SocketAddress } from "../../../runtime/config.js";
import { listenOn } from "../../../runtime/listen.js";
import type { Logger } from "../../../runtime/log.js";

/**
 * The most connections that wait to be accepted: as many as may be open, though the system may allow fewer. A mesh that
 * reconnects all at once overflows Node's default of 511; the system then drops connections that their clients hold for
 * established.
 */
const backlog = 4096;

/** Makes `server` listen for calls and logs accept errors. Fails with `unavailable` if the address is taken. */
export function listenForCalls<Address extends SocketAddress>(
  server: Server,
  address: Address,
  log: Logger,
): Promise<Address> {
  const onError = (error: Error) => log.warn("listener", { error: messageOf(error) });
  return listenOn(server, address, { backlog, onError });
}
