/** Parts of app.ts: the NATS that a control plane works on, and the first record of trust. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { AshlarError, isAshlarError } from "../core/errors.js";
import { signTrust } from "../core/wire/records.js";
import type { Clock } from "../runtime/clock.js";
import type { Logger } from "../runtime/log.js";
import { type NatsAccounts, readNatsAccounts } from "../runtime/nats-accounts.js";
import type { Cleanup } from "./cleanup.js";
import type { DecisionsConfig, NatsConfig } from "./config.js";
import type { Authority } from "./identity/authority.js";
import type { StoredPlace } from "./membership/member-files.js";
import { startNatsServer } from "./nats/nats-server.js";
import { openUserGuard, type UserGuard } from "./nats/user-guard.js";
import { type NatsAccess, openNatsAccess } from "./nats-access.js";
import type { Ledger } from "./store/ledger.js";

export interface OpenNatsDeps {
  readonly nats: NatsConfig;
  readonly decisions: DecisionsConfig;
  /** This control plane's place in somebody else's mesh; undefined: the mesh is its own. */
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
  /** True: a cluster of somebody's. */
  readonly isCluster: boolean;
  readonly guard: UserGuard | undefined;
}

/** The access with the accounts that users are minted from. */
export interface OpenedNats {
  readonly access: NatsAccess;
  readonly accounts: NatsAccounts;
  /** Ends users before their time; undefined: NATS is somebody's cluster. */
  readonly guard: UserGuard | undefined;
  /** What is wrong with the accounts, one line each. */
  readonly problems: () => readonly string[];
}

const sharedProblem =
  "control planes and proxies share one NATS account: whoever takes a proxy's credential over can delete the streams of " +
  "the mesh; `ashlar nats setup` prints how to give proxies an account of their own";

/** Our own server, or somebody's, with its streams; waits for one that is away and says so. */
export async function openNats(deps: OpenNatsDeps): Promise<OpenedNats> {
  const { log, clock, signal, cleanup } = deps;
  const source = await findNats(deps);
  const random = (count: number): Uint8Array => new Uint8Array(randomBytes(count));
  const access = await openNatsAccess({ ...source, ...deps.decisions, clock, log, random });
  cleanup.add(() => access.close());
  await access.bootstrap(signal); // the connection itself says in the log what it waits for
  await access.bus.whenConnected(signal);
  const problems = () => (access.isShared() ? [sharedProblem] : []);
  for (const problem of problems()) log.warn(problem);
  return { access, accounts: source.accounts, guard: source.guard, problems };
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
    return { accounts, servers: nats.url.split(","), isCluster: true, guard: undefined };
  }
  if (place !== undefined)
    return { accounts: place.natsAccounts, servers: place.natsServers, isCluster: true, guard: undefined };
  const server = await startNatsServer({ dir: join(dataDir, "nats"), log, clock });
  cleanup.add(() => server.stop());
  const guard = await openUserGuard({ server, clock, log });
  cleanup.add(() => guard.close());
  return { accounts: server.accounts, servers: [server.url], isCluster: false, guard };
}

/** Begins the trust log of a new mesh; fails with `conflict` if the log is there and does not name this signing key. */
export async function appendFirstTrust(ledger: Ledger, authority: Authority): Promise<void> {
  if (ledger.trust.head() === undefined && authority.holdsRoot) {
    try {
      await ledger.trust.append(signTrust(authority.firstTrust(), authority.mesh, authority.rootSigner));
    } catch (error) {
      if (!isAshlarError(error, "conflict")) throw error;
    }
  }
  const head = ledger.trust.head();
  if (head?.body.signingKeys.some(({ kid }) => kid === authority.signer.kid)) return;
  throw new AshlarError(
    "conflict",
    `the trust log of mesh ${authority.mesh} does not name this data folder's signing key: the streams belong to ` +
      "another control plane (--join makes this one a further control plane of its mesh)",
  );
}
