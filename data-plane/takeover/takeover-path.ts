import { join } from "node:path";

/** Where the proxy of a data folder listens for its successor. */
export function takeoverPath(dataDir: string): string {
  return join(dataDir, "run", "takeover.sock");
}
