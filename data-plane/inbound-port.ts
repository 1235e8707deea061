import { join } from "node:path";
import { isAshlarError } from "../core/errors.js";
import type { HostPort } from "../runtime/config.js";
import { readIfThere, writeDurably } from "../runtime/durable-file.js";

/**
 * Listens on `address`. For port 0 it takes the port of the last run if that is still free, so that peers that do not
 * get news (NATS is away) find a restarted proxy where it was; otherwise any free port.
 */
export async function listenAgain(
  listen: (address: HostPort) => Promise<HostPort>,
  address: HostPort,
  dataDir: string,
): Promise<HostPort> {
  if (address.port !== 0) return listen(address);
  const path = join(dataDir, "inbound-port");
  const bound = await listenOn(listen, address, Number(readIfThere(path)?.toString("latin1").trim()));
  try {
    writeDurably(path, `${bound.port}\n`);
  } catch {} // a courtesy to peers after a restart: a full disk must not keep a proxy from serving
  return bound;
}

async function listenOn(
  listen: (address: HostPort) => Promise<HostPort>,
  address: HostPort,
  last: number,
): Promise<HostPort> {
  if (!Number.isInteger(last) || last < 1 || last > 65535) return listen(address);
  try {
    return await listen({ ...address, port: last });
  } catch (error) {
    if (!isAshlarError(error, "unavailable")) throw error;
    return listen(address); // another process has the port now
  }
}
