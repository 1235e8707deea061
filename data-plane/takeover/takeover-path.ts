import { join } from "node:path";

/** Returns the socket path where the proxy of a data folder listens for its successor. */
export function takeoverPath(dataDir: string): string {
  return join(dataDir, "run", "takeover.sock");
}
