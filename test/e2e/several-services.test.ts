/** One process beside several services of a host: from a file, and added and removed while it runs. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";
import { cliPath, type Finished, run, TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

let mesh: TestMesh;
let host: TestProcess;
let dir: string;
let data: string;
const started: TestProcess[] = [];

const tokenFile = async (service: string): Promise<string> => {
  const path = join(dir, `${service}.token`);
  writeFileSync(path, await mesh.token(service));
  return path;
};
const outbound = (service: string): string => `unix:${data}/services/${service}/run/outbound.sock`;
const agent = (service: string): string => `unix:${data}/services/${service}/run/agent.sock`;

function startHost(): TestProcess {
  const args = ["--services", join(dir, "services.yaml"), "--data", data, "--join", join(mesh.data, "join.json")];
  host = new TestProcess("host", process.execPath, [
    cliPath,
    "proxy",
    ...args,
    "--status",
    "127.0.0.1:0",
    "--grace",
    "2s",
  ]);
  started.push(host);
  return host;
}

const control = (...words: string[]): Promise<Finished> =>
  run(process.execPath, [cliPath, "proxy", ...words, "--data", data]);

async function listed(): Promise<Record<string, string>> {
  const done = await control("list", "-o", "json");
  const all: { service: string; state: string }[] = JSON.parse(done.stdout);
  return Object.fromEntries(all.map(({ service, state }) => [service, state]));
}

const app = (service: string): Promise<TestProcess> =>
  mesh.child(`app ${service}`, process.execPath, [
    "test/support/echo-app.mjs",
    ...["--version", "v1", "--agent", agent(service), "--service", service],
  ]);

beforeAll(async () => {
  mesh = await TestMesh.start();
  dir = join(mesh.dir, "host");
  data = join(dir, "d");
  mkdirSync(dir, { mode: 0o700 });
  const [front, echo] = [await tokenFile("front"), await tokenFile("echo")];
  writeFileSync(
    join(dir, "services.yaml"),
    `- service: front
  token: ${front}
- service: echo
  token: ${echo}
  inbound: 127.0.0.1:0
  agent: true
- service: late
  token: ${echo}
`,
  );
  await startHost().said("\nready");
  await mesh.apply(frontMayCall);
  await app("echo");
  await mesh.healthy("echo", 1);
}, 120_000);

afterAll(async () => {
  for (const one of started) await one.stop();
  await mesh?.stop();
}, 60_000);

test("each has its own identity; one that cannot join is said, and the others go on", async () => {
  const client = new EchoClient(outbound("front"), "echo");
  const { response, code } = await client.unary({ text: "hello" });
  expect([code, response?.caller]).toEqual([0, "spiffe://test/service/front"]);
  // judged by identity, though both ends are in one process
  const stranger = new EchoClient(outbound("echo"), "echo");
  expect((await stranger.unary({ text: "hello" })).code).toBe(7);
  client.close();
  stranger.close();
  const proxies: { service: string; id: string }[] = await mesh.json(0, "proxies");
  expect(proxies.map(({ service }) => service).sort()).toEqual(["echo", "front"]);
  expect(await listed()).toEqual({ front: "serving", echo: "serving", late: "failed" });
  await host.said("late failed\n");
  expect(host.stderr).toMatch(/"late".*a service does not run/);
}, 60_000);

test("no egress leads to a port of another service of the process, whatever networks are allowed", async () => {
  const egress = "---\nkind: Egress\nname: door\nmethods: [test.Echo/Unary]\n";
  const rule =
    "---\nkind: Authorization\nname: door\nservice: door\nallow:\n  - from: [front]\n    methods: [test.Echo/Unary]\n";
  await mesh.apply(`${frontMayCall}${egress}${rule}`);
  const services: { name: string; endpoints: { address: string }[] }[] = await mesh.json(0, "services");
  const address = services.find(({ name }) => name === "echo")?.endpoints[0]?.address ?? "";
  expect(address).toMatch(/^127\.0\.0\.1:\d+$/);
  await mesh.json(0, "egress", "set", "door", "--address", address, "--ca", "system", "--allow-address", "127.0.0.0/8");
  const client = new EchoClient(outbound("front"), "door");
  let told = "";
  const isRefused = async (): Promise<boolean> => {
    const { code, details } = await client.unary({ text: "in" });
    told = `${code} ${details}`;
    return told.includes("is a port of the mesh (inbound of echo)");
  };
  await until("it is refused as a port of the mesh", isRefused, 20_000, () => told);
  expect(told).toMatch(/^14 /);
  client.close();
  await mesh.apply(frontMayCall);
}, 60_000);

test("a service is added while others carry calls, and removed again", async () => {
  const client = new EchoClient(outbound("front"), "echo");
  const calls: number[] = [];
  let stopped = false;
  const load = (async () => {
    while (!stopped) calls.push((await client.unary({ text: "on" })).code);
  })();
  const token = await tokenFile("stranger");
  const added = await control("add", "--service", "stranger", "--token", token, "-o", "json");
  expect([added.code, added.stderr]).toEqual([0, ""]);
  expect(JSON.parse(added.stdout)).toMatchObject([
    { service: "stranger", state: "serving", listening: { outbound: outbound("stranger") } },
  ]);
  const stranger = new EchoClient(outbound("stranger"), "echo");
  expect((await stranger.unary({ text: "hello" })).code).toBe(7);
  const again = await control("add", "--service", "stranger", "--token", token);
  expect([again.code, again.stderr]).toEqual([1, "ashlar: a proxy of stranger runs in this process already\n"]);
  expect((await control("remove", "--service", "stranger")).stdout).toBe("stranger was removed\n");
  expect(Object.keys(await listed())).not.toContain("stranger");
  stopped = true;
  await load;
  expect(calls.filter((code) => code !== 0)).toEqual([]);
  expect(calls.length).toBeGreaterThan(10);
  client.close();
  stranger.close();
}, 60_000);

test("bad requests name what is wrong, and nothing changes", async () => {
  const before = await listed();
  const taken = await control("add", "--service", "cron", "--outbound", outbound("front"));
  expect(taken.stderr).toContain(`cron: ${outbound("front").slice(5)} belongs to front already`);
  const wrong = await control("add", "--service", "cron", "--token", join(dir, "front.token"));
  expect(wrong.code).toBe(1);
  expect(wrong.stderr).toContain("token");
  const value = await control("add", "--service", "cron", "--inbound", "nowhere");
  expect([value.code, value.stderr]).toEqual([
    2,
    'ashlar: ashlar proxy add: cron: --inbound: expected HOST:PORT, got "nowhere"\n',
  ]);
  const nobody = await control("remove", "--service", "nobody");
  expect([nobody.code, nobody.stderr]).toEqual([
    1,
    "ashlar: no proxy of nobody runs in this process, only of front, echo, late\n",
  ]);
  const nowhere = await run(process.execPath, [cliPath, "proxy", "list", "--data", "/nowhere"]);
  expect([nowhere.code, nowhere.stderr]).toEqual([3, "ashlar: no proxy runs on /nowhere: no such file or folder\n"]);
  expect(await listed()).toEqual(before);
}, 60_000);

test("what was added is there after a restart without its token; a successor takes every service over", async () => {
  expect((await control("add", "--service", "stranger", "--token", await tokenFile("stranger"))).code).toBe(0);
  await host.stop();
  await startHost().said("\nready");
  expect(await listed()).toMatchObject({ front: "serving", echo: "serving", stranger: "serving" });
  await mesh.healthy("echo", 1);
  const client = new EchoClient(outbound("front"), "echo");
  expect((await client.unary({ text: "again" })).code).toBe(0);
  const before = host;
  await startHost().said("\nready");
  expect(await before.exited).toBe(0);
  expect((await client.unary({ text: "and again" })).code).toBe(0);
  expect(await listed()).toMatchObject({ front: "serving", echo: "serving", stranger: "serving" });
  expect(JSON.parse(readFileSync(join(data, "services/echo/lock.json"), "utf8")).pid).toBe(host.pid);
  client.close();
}, 90_000);

test("--status tells of all by name", async () => {
  const [, port] = /status=127\.0\.0\.1:(\d+)/.exec(host.stdout) ?? [];
  const get = async (path: string): Promise<string> => (await fetch(`http://127.0.0.1:${port}${path}`)).text();
  await until("echo is ready", async () => (await get("/readyz?service=echo")) === "ready\n");
  expect(await get("/readyz")).toMatch(/late: it does not run: /);
  const metrics = await get("/metrics");
  expect(metrics).toContain('ashlar_ready{proxy="echo"} 1');
  expect(metrics.match(/^process_resident_memory_bytes/gm)).toHaveLength(1);
  expect(await get("/readyz?service=nobody")).toBe("no proxy of this service runs here\n");
}, 60_000);
