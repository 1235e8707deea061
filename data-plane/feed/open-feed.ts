/** Opens the server of the event feed on a socket of the proxy's own, where its inbound listeners forward the readers' calls. */
import { mkdir, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
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

/** Where the processes of one proxy find it. Its name is new at each start: a successor opens its own beside it. */
export function feedPath(dataDir: string, mark: string): string {
  return join(dataDir, "run", `feed-${mark}.sock`);
}

/** Serves until it is stopped. Fails with `unavailable` if it cannot listen. */
export async function openFeed(deps: OpenFeedDeps, service: string, path: string): Promise<GrpcServer> {
  const { bus, clock, log } = deps;
  await removeOldSockets(dirname(path));
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

/** Those of processes that were killed; a predecessor that still serves keeps its own. */
async function removeOldSockets(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of await readdir(folder))
    if (/^feed-.*\.sock$/.test(name)) await removeStaleSocket(`unix:${join(folder, name)}`);
}
