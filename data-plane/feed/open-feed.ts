/**
 * Opens the server of the event feed on a socket of the proxy itself, to which its inbound listeners forward the
 * readers' calls.
 */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { ServerCredentials } from "@grpc/grpc-js";
import type { Bus } from "../../runtime/bus.js";
import { type GrpcServer, startGrpcServer } from "../../runtime/grpc-server.js";
import type { JournalRecordDeps } from "../../runtime/journal-records.js";
import type { Logger } from "../../runtime/log.js";
import { removeStaleSocket } from "../../runtime/owned-socket.js";
import { createFeedService } from "./feed-service.js";
import type { FollowDeps } from "./follow-journal.js";
import { JournalNews } from "./journal-news.js";

export interface OpenFeedDeps extends JournalRecordDeps, Pick<FollowDeps, "clock" | "random"> {
  readonly bus: Pick<Bus, "directGet" | "subscribe">;
  readonly log: Logger;
}

/**
 * Returns a path for the socket of the feed. A successor on the data folder serves beside its predecessor, so there are
 * two names; one that a killed process left behind is removed first. The names are not longer than those of other
 * sockets there.
 */
export async function freeFeedPath(dataDir: string): Promise<string> {
  const folder = join(dataDir, "run");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const [one = "", other = ""] = ["feed-a.sock", "feed-b.sock"].map((name) => join(folder, name));
  for (const path of [one, other]) await removeStaleSocket(`unix:${path}`);
  return existsSync(one) ? other : one;
}

/** Serves until it is stopped. Fails with `unavailable` if it cannot listen. */
export async function openFeed(deps: OpenFeedDeps, service: string, path: string): Promise<GrpcServer> {
  const { bus, clock, log } = deps;
  const news = new JournalNews(bus, clock, service);
  const server = await startGrpcServer({
    bind: `unix:${path}`,
    credentials: ServerCredentials.createInsecure(),
    services: [createFeedService({ ...deps, news }, service)],
    log,
    clock,
  });
  const stop = async (graceMs: number): Promise<void> => {
    news.close();
    await server.stop(graceMs);
  };
  return { ...server, stop };
}
