/** What `ashlar nats setup` prints, given to a real server by its operator. */
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { encodeAccount, encodeOperator } from "@nats-io/jwt";
import { createAccount, createOperator, fromPublic, type KeyPair } from "@nats-io/nkeys";
import { renderNatsConfig } from "../../control-plane/nats/nats-config.js";
import { choosePort, readServerName } from "../../control-plane/nats/nats-probe.js";
import { bootstrapStreams } from "../../control-plane/store/streams.js";
import { endpointSubject, heartbeatSubject, ingestSubject, proxyInbox } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import { silentLogger } from "../../runtime/log.js";
import { connectNats } from "../../runtime/nats.js";
import { buildNatsSetup } from "../../runtime/nats-account-setup.js";
import type { NatsAccount } from "../../runtime/nats-accounts.js";
import {
  bootstrapPermissions,
  controlPlanePermissions,
  type NatsPermissions,
  proxyPermissions,
} from "../../runtime/nats-permissions.js";
import { createNatsUserKey } from "../../runtime/nats-user-keys.js";
import { mintUser } from "../../runtime/nats-users.js";
import { natsPrograms } from "../support/nats-programs.js";
import { untilTrue } from "../support/until.js";

const bytes = new Uint8Array([1]);
const seedOf = (pair: KeyPair): string => Buffer.from(pair.getSeed()).toString("ascii");

for (const { name, program } of natsPrograms) {
  test(`with signing keys, on ${name}: a mesh works on it, and no other account may import what is exported`, async () => {
    const dir = await mkdtemp(join(tmpdir(), "ashlar-setup-"));
    const [operator, system, other] = [createOperator(), createAccount(), createAccount()];
    const [mesh, proxies] = [createAccount(), createAccount()];
    const signing = { mesh: createAccount(), proxies: createAccount() };
    const accounts = {
      mesh: { publicKey: mesh.getPublicKey(), seed: seedOf(signing.mesh) },
      proxies: { publicKey: proxies.getPublicKey(), seed: seedOf(signing.proxies) },
    };
    const setup = await buildNatsSetup(accounts);
    const base = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1 };
    const encode = async (label: string, pair: KeyPair, claims: object, limits: object, keys: readonly KeyPair[]) => ({
      account: pair.getPublicKey(),
      jwt: await encodeAccount(
        label,
        fromPublic(pair.getPublicKey()),
        { ...claims, limits: { ...base, ...limits }, signing_keys: keys.map((key) => key.getPublicKey()) } as object,
        { signer: operator },
      ),
    });
    const none = { mem_storage: 0, disk_storage: 0, streams: 0, consumer: 0, leaf: 0 };
    const stranger = { imports: setup.proxies.imports.map(({ token: _, ...link }) => link) };
    const trust = {
      operatorJwt: await encodeOperator("o", operator, { system_account: system.getPublicKey() } as object),
      systemAccount: system.getPublicKey(),
      accounts: [
        await encode("mesh", mesh, setup.mesh, setup.mesh.limits, [signing.mesh]),
        await encode("proxies", proxies, setup.proxies, setup.proxies.limits, [signing.proxies]),
        await encode("other", other, stranger, none, []),
        await encode("system", system, {}, none, []),
      ],
    };
    const [host, port] = ["127.0.0.1", await choosePort("127.0.0.1", 0, undefined)];
    const file = join(dir, "nats.conf");
    const paths = { storeDir: join(dir, "store"), accountsDir: join(dir, "jwt"), pidFile: join(dir, "pid") };
    const config = { ...paths, serverName: "setup", host, port, logFile: join(dir, "log"), trust, tls: undefined };
    await writeFile(file, renderNatsConfig({ ...config, syncAlways: false, extra: "" }));
    const server = spawn(program, ["-c", file], { stdio: "ignore" });
    const buses: Bus[] = [];
    const open = async (account: NatsAccount, inboxPrefix: string, permissions: NatsPermissions): Promise<Bus> => {
      const key = createNatsUserKey();
      const jwt = await mintUser({
        accountSeed: account.seed,
        accountPublicKey: account.publicKey,
        userPublicKey: key.publicKey,
        name: "u",
        expiresMs: Date.now() + 600_000,
        permissions,
      });
      const user = { jwt: () => jwt, seed: () => key.seed, inboxPrefix, name: "u" };
      const bus = connectNats({ servers: [`nats://${host}:${port}`], ...user, log: silentLogger, timeoutMs: 1000 });
      buses.push(bus);
      await bus.whenConnected(AbortSignal.timeout(10_000));
      return bus;
    };
    try {
      await untilTrue(async () => (await readServerName(host, port)) === "setup");
      await bootstrapStreams(await open(accounts.mesh, "_INBOX_b", bootstrapPermissions("_INBOX_b")), { replicas: 1 });
      const plane = await open(accounts.mesh, "_INBOX_cp", controlPlanePermissions("_INBOX_cp"));
      const proxy = await open(accounts.proxies, proxyInbox("p1"), proxyPermissions("payments", "p1"));
      const heard = plane.subscribe(heartbeatSubject("*", "*"));
      await plane.flush();
      await plane.append(ingestSubject("revisions", 1), bytes);
      expect((await proxy.directGet("ASHLAR_REVISIONS", { sequence: 1 }))?.data).toEqual(bytes);
      await proxy.append(endpointSubject("payments", "p1"), bytes);
      proxy.publish(heartbeatSubject("payments", "p1"), bytes);
      for await (const message of heard) {
        expect(message.subject).toBe(heartbeatSubject("payments", "p1"));
        break;
      }
      const foreign = await open(
        { publicKey: other.getPublicKey(), seed: seedOf(other) },
        proxyInbox("p1"),
        proxyPermissions("payments", "p1"),
      );
      await expect(foreign.append(endpointSubject("payments", "p1"), bytes)).rejects.toMatchObject({
        code: "unavailable",
      });
      await expect(foreign.directGet("ASHLAR_REVISIONS", { sequence: 1 })).rejects.toMatchObject({
        code: "unavailable",
      });
    } finally {
      for (const bus of buses) await bus.close();
      server.kill();
      await new Promise((resolve) => (server.exitCode === null ? server.once("exit", resolve) : resolve(undefined)));
      await rm(dir, { recursive: true, force: true });
    }
  });
}
