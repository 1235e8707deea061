import { spawn } from "node:child_process";
import { mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "@jest/globals";
import { accountOf, createNatsKeys } from "../../../control-plane/nats/nats-keys.js";
import { type NatsServer, startNatsServer } from "../../../control-plane/nats/nats-server.js";
import { endpointSubject, ingestSubject } from "../../../core/wire/subjects.js";
import { silentLogger } from "../../../runtime/log.js";
import { isShared, parseNatsAccounts, renderNatsAccounts } from "../../../runtime/nats-accounts.js";
import { findProcess } from "../../../runtime/process-identity.js";
import { startTestNats } from "../../support/nats.js";
import { untilTrue } from "../../support/until.js";

const dirs: string[] = [];
const servers: NatsServer[] = [];
async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "ashlar-nats-server-"));
  dirs.push(dir);
  return dir;
}
async function start(dir: string, port?: number): Promise<NatsServer> {
  const server = await startNatsServer({ dir, port, log: silentLogger });
  servers.push(server);
  return server;
}
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
  for (const dir of dirs.splice(0)) await rm(dir, { recursive: true, force: true });
});

describe("a private nats-server", () => {
  test("starts, keeps its secrets to its owner, stops, and comes back on the same port with the same account", async () => {
    const dir = await folder();
    const server = await start(dir);
    const { pid, port, accounts } = server;
    expect(pid).toBeDefined();
    expect((await stat(join(dir, "keys.json"))).mode & 0o777).toBe(0o600);
    expect((await stat(join(dir, "nats.conf"))).mode & 0o777).toBe(0o600);
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
    await server.stop();
    expect(await findProcess(pid ?? 0)).toBeUndefined();
    const again = await start(dir);
    expect(again.port).toBe(port);
    expect(again.accounts).toEqual(accounts);
  });

  test("is started again when it dies", async () => {
    const server = await start(await folder());
    const { pid, port } = server;
    process.kill(pid ?? 0, "SIGKILL");
    await untilTrue(
      async () => server.pid !== undefined && server.pid !== pid && (await findProcess(server.pid)) !== undefined,
    );
    expect(server.port).toBe(port);
  });

  test("a server that a killed run left behind is stopped, never doubled", async () => {
    const dir = await folder();
    const first = await start(dir);
    const orphan = join(dir, "nats.conf");
    await first.stop();
    const child = spawn("nats-server", ["-c", orphan], { stdio: "ignore", detached: true });
    await untilTrue(async () => (await readFile(join(dir, "nats.pid"), "utf8")).trim() === String(child.pid));
    const second = await start(dir); // process.json still names the first: only the pid file tells of the orphan
    expect(second.pid).not.toBe(child.pid);
    expect(await findProcess(child.pid ?? 0)).toBeUndefined();
  });

  test("a process that merely has the recorded id is left alone", async () => {
    const dir = await folder();
    const first = await start(dir);
    await first.stop();
    const stranger = spawn("sleep", ["60"], { stdio: "ignore" });
    const record = { pid: stranger.pid, started: "1", nonce: "n", port: first.port };
    await writeFile(join(dir, "process.json"), JSON.stringify(record));
    await writeFile(join(dir, "nats.pid"), String(stranger.pid));
    await start(dir);
    expect(await findProcess(stranger.pid ?? 0)).toBeDefined();
    stranger.kill();
  });

  test("a port that was asked for and is taken is one clear line", async () => {
    const blocker = createServer();
    await new Promise<void>((done) => blocker.listen(0, "127.0.0.1", done));
    const { port } = blocker.address() as { port: number };
    await expect(start(await folder(), port)).rejects.toMatchObject({
      code: "unavailable",
      message: `127.0.0.1:${port} is taken: nats-server cannot listen there`,
    });
    await new Promise((done) => blocker.close(done));
  });

  test("damaged keys are one clear line", async () => {
    const dir = await folder();
    await writeFile(join(dir, "keys.json"), "{}");
    await expect(start(dir)).rejects.toMatchObject({ code: "invalid_argument" });
  });
});

describe("a folder of an earlier version, which had one account", () => {
  test("keeps its streams and its proxies' credentials, which reach the streams no more", async () => {
    const dir = await folder();
    const nats = await startTestNats({ dir });
    const [{ accounts } = { accounts: undefined }] = nats.servers;
    const plane = await nats.connect(await nats.controlPlaneUser());
    await plane.append(ingestSubject("revisions", 1), new Uint8Array([1]));
    await nats.stop();
    // its only account is that of proxies: what is there now belongs to it
    const store = join(dir, "nats", "jetstream", "jetstream");
    await rename(join(store, accounts?.mesh.publicKey ?? ""), join(store, accounts?.proxies.publicKey ?? ""));
    const keysFile = join(dir, "nats", "keys.json");
    const { meshAccountSeed: _, ...former } = JSON.parse(await readFile(keysFile, "utf8")) as Record<string, string>;
    await writeFile(keysFile, JSON.stringify(former));

    const next = await startTestNats({ dir });
    try {
      expect(next.servers[0]?.accounts.proxies).toEqual(accounts?.proxies);
      expect(next.servers[0]?.accounts.mesh).not.toEqual(accounts?.mesh);
      const own = await next.connect(await next.controlPlaneUser());
      expect((await own.leaderGet("ASHLAR_REVISIONS", { sequence: 1 }))?.data).toEqual(new Uint8Array([1]));
      const everything = { publish: [">"], subscribe: [">"] };
      const thief = await next.connect(await next.user(everything, "_INBOX_p1", { account: "proxies" }));
      expect((await thief.directGet("ASHLAR_REVISIONS", { sequence: 1 }))?.data).toEqual(new Uint8Array([1]));
      await thief.append(endpointSubject("payments", "p1"), new Uint8Array([2]));
      await expect(thief.deleteStream("ASHLAR_REVISIONS")).rejects.toBeDefined();
      await expect(thief.streamInfo("ASHLAR_REVISIONS")).rejects.toBeDefined();
      expect((await own.streamInfo("ASHLAR_REVISIONS"))?.messages).toBe(1);
    } finally {
      await next.stop();
    }
  });
});

describe("the account file", () => {
  const account = `A${"A".repeat(55)}`;
  test("names the mesh's account and the proxies' one, or one for both", () => {
    const [mesh, proxies] = [accountOf(createNatsKeys().accountSeed), accountOf(createNatsKeys().accountSeed)];
    expect(parseNatsAccounts(JSON.stringify(renderNatsAccounts({ mesh, proxies })), "f")).toEqual({ mesh, proxies });
    const one = JSON.stringify({ account: mesh.publicKey, signingSeed: mesh.seed });
    expect(isShared(parseNatsAccounts(one, "f"))).toBe(true);
  });
  for (const [name, text] of [
    ["no JSON", "x"],
    ["one of two accounts", JSON.stringify({ mesh: { account, signingSeed: createNatsKeys().accountSeed } })],
    ["an unknown field", JSON.stringify({ account, signingSeed: "SA", more: 1 })],
    ["no account", JSON.stringify({ signingSeed: "SA" })],
    [
      "a user's seed",
      JSON.stringify({ account, signingSeed: "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY" }),
    ],
    ["nothing", "null"],
  ] as const) {
    test(`${name} is refused with the file's name`, () => {
      expect(() => parseNatsAccounts(text, "account.json")).toThrow(/^account\.json: /);
    });
  }
});
