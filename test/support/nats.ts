/** Real nats-servers on loopback for tests. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNatsKeys } from "../../control-plane/nats/nats-keys.js";
import { type NatsServer, startNatsServer } from "../../control-plane/nats/nats-server.js";
import { bootstrapStreams } from "../../control-plane/store/streams.js";
import { proxyInbox } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import { silentLogger } from "../../runtime/log.js";
import { connectNats } from "../../runtime/nats.js";
import { type NatsAccounts, renderNatsAccounts } from "../../runtime/nats-accounts.js";
import {
  bootstrapPermissions,
  controlPlanePermissions,
  type NatsPermissions,
  type NatsUserLimits,
  proxyLimits,
  proxyPermissions,
} from "../../runtime/nats-permissions.js";
import { createNatsUserKey } from "../../runtime/nats-user-keys.js";
import { mintUser } from "../../runtime/nats-users.js";
import { freePorts } from "./free-ports.js";
import { untilTrue } from "./until.js";

export interface TestUser {
  readonly jwt: string;
  readonly publicKey: string;
  readonly seed: string;
  readonly inboxPrefix: string;
}

export interface TestNats {
  readonly url: string;
  readonly urls: readonly string[];
  readonly dir: string;
  readonly servers: readonly NatsServer[];
  /** The content of a file for `--nats-account`. */
  readonly accountFile: object;
  /** Creates a user of the mesh's account, unless another account is given. */
  user(
    permissions: NatsPermissions,
    inboxPrefix: string,
    options?: { expiresMs?: number; account?: keyof NatsAccounts; limits?: NatsUserLimits },
  ): Promise<TestUser>;
  bootstrapUser(): Promise<TestUser>;
  controlPlaneUser(name?: string): Promise<TestUser>;
  proxyUser(service: string, proxyId: string): Promise<TestUser>;
  /** Returns a bus that is connected as this user. `stop` closes it. */
  connect(user: TestUser, options?: { timeoutMs?: number; urls?: readonly string[] }): Promise<Bus>;
  stop(): Promise<void>;
}

const hourMs = 3_600_000;

/** Starts one server, or a cluster of three; with `streams` (the default) the streams are there too. */
export async function startTestNats(
  options: { streams?: boolean; cluster?: boolean; dir?: string; program?: string } = {},
): Promise<TestNats> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), "ashlar-nats-")));
  const keys = createNatsKeys();
  const { program } = options;
  const own = { log: silentLogger, ...(program !== undefined && { program }) };
  const servers: NatsServer[] = [];
  if (options.cluster === true) {
    const ports = await freePorts(3);
    const routes = ports.map((port) => `nats-route://127.0.0.1:${port}`).join(", ");
    const started = ports.map((port, index) =>
      startNatsServer({
        ...own,
        dir: join(dir, `n${index}`),
        keys,
        extraConfig: `cluster { name: "test", host: "127.0.0.1", port: ${port}, routes: [${routes}] }`,
      }),
    );
    servers.push(...(await Promise.all(started)));
  } else {
    servers.push(await startNatsServer({ ...own, dir: join(dir, "nats") }));
  }
  const buses: Bus[] = [];
  const urls = servers.map((server) => server.url);
  const nats: TestNats = {
    url: urls[0] ?? "",
    urls,
    dir,
    servers,
    get accountFile() {
      const [server] = servers;
      return server === undefined ? {} : renderNatsAccounts(server.accounts);
    },
    async user(permissions, inboxPrefix, { expiresMs = Date.now() + hourMs, account = "mesh", limits } = {}) {
      const key = createNatsUserKey();
      const { seed, publicKey } = servers[0]?.accounts[account] ?? { publicKey: "", seed: "" };
      const jwt = await mintUser({
        accountSeed: seed,
        accountPublicKey: publicKey,
        userPublicKey: key.publicKey,
        name: inboxPrefix.replace("_INBOX_", ""),
        expiresMs,
        permissions,
        ...(limits !== undefined && { limits }),
      });
      return { jwt, publicKey: key.publicKey, seed: key.seed, inboxPrefix };
    },
    bootstrapUser: () => nats.user(bootstrapPermissions("_INBOX_bootstrap"), "_INBOX_bootstrap"),
    controlPlaneUser: (name = "cp") => nats.user(controlPlanePermissions(`_INBOX_${name}`), `_INBOX_${name}`),
    proxyUser: (service, proxyId) =>
      nats.user(proxyPermissions(service, proxyId), proxyInbox(proxyId), { account: "proxies", limits: proxyLimits }),
    async connect(user, { timeoutMs = 5000, urls: at = urls } = {}) {
      const bus = connectNats({
        servers: at,
        jwt: () => user.jwt,
        seed: () => user.seed,
        inboxPrefix: user.inboxPrefix,
        name: user.inboxPrefix,
        log: silentLogger,
        timeoutMs,
      });
      buses.push(bus);
      await bus.whenConnected(AbortSignal.timeout(10_000));
      return bus;
    },
    async stop() {
      await Promise.all(buses.map((bus) => bus.close()));
      await Promise.all(servers.map((server) => server.stop()));
      if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
    },
  };
  try {
    if (options.streams !== false) await createStreams(nats, servers.length);
  } catch (error) {
    await nats.stop();
    throw error;
  }
  return nats;
}

/** Creates the streams. It retries, because JetStream does not answer until a cluster has elected a leader. */
async function createStreams(nats: TestNats, replicas: number): Promise<void> {
  const bus = await nats.connect(await nats.bootstrapUser(), { timeoutMs: 3000 });
  await untilTrue(() => bootstrapStreams(bus, { replicas }).then(() => true));
}
