/** Opens the NATS that a control plane uses: a server of its own, or a cluster. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { AshlarError } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { type NatsAccounts, readNatsAccounts } from "../../runtime/nats-accounts.js";
import type { Cleanup } from "../cleanup.js";
import type { DecisionsConfig, NatsConfig } from "../config.js";
import type { StoredPlace } from "../membership/member-files.js";
import { type DiskWatch, watchDisk } from "./disk-watch.js";
import { type NatsAccess, openNatsAccess } from "./nats-access.js";
import { type NatsServer, startNatsServer } from "./nats-server.js";
import { freeBytesOf, requireRoom } from "./stream-room.js";
import { openUserGuard, type UserGuard } from "./user-guard.js";

export interface OpenNatsDeps {
  readonly nats: NatsConfig;
  readonly decisions: DecisionsConfig;
  /** The control plane's place in a mesh that another one began; undefined if it began the mesh itself. */
  readonly place: StoredPlace | undefined;
  readonly dataDir: string;
  readonly log: Logger;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly cleanup: Cleanup;
}

interface NatsSource {
  readonly accounts: NatsAccounts;
  readonly servers: readonly string[];
  /** True if NATS is a cluster that Ashlar does not run. */
  readonly isCluster: boolean;
  /** The server that Ashlar runs, and its folder; undefined for a cluster. */
  readonly server?: NatsServer;
  readonly storeDir?: string;
}

/** The access with the accounts that users are minted from. */
export interface OpenedNats {
  readonly access: NatsAccess;
  readonly accounts: NatsAccounts;
  /** Ends NATS users before their JWT expires; undefined if NATS is a cluster that Ashlar does not run. */
  readonly guard: UserGuard | undefined;
  /** Returns what is wrong with the accounts, one line each. */
  readonly problems: () => readonly string[];
  /** Returns what is wrong with the disk of the server that Ashlar runs, one line each. */
  readonly diskProblems: () => readonly string[];
  /** Returns the free bytes on the disk of the server that Ashlar runs; undefined: NATS is a cluster. */
  readonly freeBytes: (() => Promise<number>) | undefined;
}

const sharedProblem =
  "control planes and proxies share one NATS account: whoever takes a proxy's credential over can delete the streams of " +
  "the mesh; `ashlar nats setup` prints how to give proxies an account of their own";

/**
 * Starts the private server or connects to the cluster, and creates the streams. Waits while NATS is away, and logs
 * that.
 */
export async function openNats(deps: OpenNatsDeps): Promise<OpenedNats> {
  const { log, clock, signal, cleanup } = deps;
  const source = await findNats(deps);
  const random = (count: number): Uint8Array => new Uint8Array(randomBytes(count));
  const access = await openNatsAccess({ ...source, ...deps.decisions, clock, log, random });
  cleanup.add(() => access.close());
  // A new server builds its accounts at the first connection. If two arrive at once, nats-server 2.9 may link the
  // proxies' account to an unused copy of the mesh's account; then no proxy gets an answer from that server for as long
  // as it runs.
  await access.bus.whenConnected(signal); // the connection logs what it waits for
  const guard = source.server && (await openUserGuard({ server: source.server, clock, log }));
  if (guard !== undefined) cleanup.add(() => guard.close());
  await access.bootstrap(signal);
  const problems = () => (access.isShared() ? [sharedProblem] : []);
  for (const problem of problems()) log.warn(problem);
  const watch = watchOwnDisk(deps, source, access);
  const { storeDir } = source;
  return {
    access,
    accounts: source.accounts,
    guard,
    problems,
    diskProblems: () => watch?.problems() ?? [],
    freeBytes: storeDir === undefined ? undefined : () => freeBytesOf(storeDir),
  };
}

function watchOwnDisk(
  { log, clock, signal, cleanup }: OpenNatsDeps,
  { server, storeDir: dir }: NatsSource,
  access: NatsAccess,
): DiskWatch | undefined {
  if (server === undefined || dir === undefined) return undefined;
  const watch = watchDisk({
    dir,
    logFile: server.logFile,
    bus: access.bus,
    clock,
    log,
    freeBytes: () => freeBytesOf(dir),
    restart: () => server.restart(),
    fitStreams: () => access.fitStreams(signal),
  });
  cleanup.add(() => watch.close());
  return watch;
}

async function findNats({ nats, place, dataDir, log, clock, cleanup }: OpenNatsDeps): Promise<NatsSource> {
  if (nats.kind === "cluster") {
    const accounts = await readNatsAccounts(nats.accountFile);
    const wrong = (["mesh", "proxies"] as const).find(
      (which) => place !== undefined && place.natsAccounts[which].publicKey !== accounts[which].publicKey,
    );
    if (wrong !== undefined) {
      throw new AshlarError(
        "invalid_argument",
        `${nats.accountFile}: account ${accounts[wrong].publicKey} is not that of the mesh's ${wrong === "mesh" ? "control planes" : "proxies"}, ${place?.natsAccounts[wrong].publicKey}`,
      );
    }
    return { accounts, servers: nats.url.split(","), isCluster: true };
  }
  if (place !== undefined) return { accounts: place.natsAccounts, servers: place.natsServers, isCluster: true };
  const storeDir = join(dataDir, "nats");
  await requireRoom(dataDir, !existsSync(join(storeDir, "jetstream")));
  const server = await startNatsServer({ dir: storeDir, log, clock });
  cleanup.add(() => server.stop());
  return { accounts: server.accounts, servers: [server.url], isCluster: false, server, storeDir };
}
