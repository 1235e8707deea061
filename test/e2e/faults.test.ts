/** Every process is killed once, tokens are wrong, folders are taken: the mesh says so and goes on. */
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall, split } from "../support/echo-policy.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { cliPath, run, type TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

let mesh: TestMesh;
let echo: TestProxy;
let front: TestProxy;
let app: TestProcess;
let client: EchoClient;

beforeAll(async () => {
  mesh = await TestMesh.start();
  [echo, front] = await Promise.all([
    mesh.proxy({ name: "echo", service: "echo" }),
    mesh.proxy({ name: "front", service: "front" }),
  ]);
  app = await mesh.app(echo, "echo");
  await mesh.apply(frontMayCall);
  await mesh.healthy("echo", 1);
  client = new EchoClient(front.outbound, "echo");
}, 90_000);

afterAll(async () => {
  client?.close();
  await mesh?.stop();
}, 60_000);

const answered = (what: string, code: number, timeoutMs = 20_000) => {
  let last = "";
  return until(
    `${what}: a call is answered ${code}`,
    async () => {
      const done = await client.unary({ text: "?" }, { deadlineMs: 3000 });
      last = `${done.code}: ${done.details}`;
      return done.code === code;
    },
    timeoutMs,
    () => last,
  );
};

/** One line (or a few), without a stack trace. */
function expectClear(text: string, pattern: RegExp): void {
  expect(text).toMatch(pattern);
  expect(text).not.toMatch(/\n\s+at .*:\d+/);
}

const proxyWith = (name: string, token: string, extra: readonly string[] = []) => {
  writeFileSync(join(mesh.dir, `${name}.token`), token);
  return run(process.execPath, [
    ...[cliPath, "proxy", "--service", "echo", "--token", join(mesh.dir, `${name}.token`)],
    ...["--join", join(mesh.data, "join.json"), "--inbound", "127.0.0.1:0", "--data", join(mesh.dir, name), ...extra],
  ]);
};

test("a wrong, a used and an expired token are each refused with one clear line", async () => {
  const used = readFileSync(join(echo.dir, "token"), "utf8");
  const expired = await mesh.token("echo", "--ttl", "1ms");
  const good = await mesh.token("echo");
  const wrong = `${good.slice(0, -6)}${good.endsWith("AAAAAA") ? "BBBBBB" : "AAAAAA"}`;
  const other = await mesh.token("front");
  for (const [name, token, pattern] of [
    ["used", used, /used/],
    ["expired", expired, /expired/],
    ["wrong", wrong, /token/],
    ["garbage", "not a token", /token/],
    ["other", other, /front/],
  ] as const) {
    const done = await proxyWith(name, token);
    expect([name, done.code]).toEqual([name, 1]);
    expectClear(done.stderr, pattern);
  }
}, 60_000);

test("wrong use is told all at once and ends with 2", async () => {
  const done = await run(process.execPath, [
    cliPath,
    "proxy",
    "--service",
    "Not A Label",
    "--inbound",
    "nonsense",
    "--outbound",
    "10.0.0.1:80",
    "--agent",
    "unix:/tmp/ashlar-x.sock",
  ]);
  expect(done.code).toBe(2);
  expectClear(done.stderr, /--inbound/);
  expectClear(done.stderr, /--outbound/);
  expectClear(done.stderr, /--service/);
});

test("a second `up` on the same folder and a taken port are refused", async () => {
  const second = await run(process.execPath, [cliPath, "up", "--data", mesh.data, "--mesh", "test"]);
  expect(second.code).toBe(1);
  expectClear(second.stderr, new RegExp(`${mesh.up.pid}|already`));
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  const { port } = taken.address() as { port: number };
  const occupied = await run(process.execPath, [
    cliPath,
    "up",
    "--data",
    join(mesh.dir, "third"),
    "--listen",
    `127.0.0.1:${port}`,
  ]);
  taken.close();
  expect(occupied.code).toBe(1);
  expectClear(occupied.stderr, /taken|in use/);
}, 60_000);

test("no control plane at the address of the context: exit 3, with the address", async () => {
  const context = JSON.parse(readFileSync(join(mesh.data, "admin.json"), "utf8"));
  const path = join(mesh.dir, "nobody.json");
  writeFileSync(path, JSON.stringify({ ...context, admin: "127.0.0.1:9" }));
  const done = await run(process.execPath, [cliPath, "status", "--context", path]);
  expect(done.code).toBe(3);
  expectClear(done.stderr, /127\.0\.0\.1:9/);
});

test("a killed application leaves routing at once and comes back when it is started again", async () => {
  await app.stop("SIGKILL");
  await answered("application killed", status.UNAVAILABLE);
  await mesh.healthy("echo", 0);
  app = await mesh.app(echo, "echo");
  await mesh.healthy("echo", 1);
  await answered("application is back", status.OK);
}, 60_000);

test("a killed destination proxy, started again with the same command line, goes on", async () => {
  await echo.process.stop("SIGKILL");
  await answered("proxy killed", status.UNAVAILABLE);
  echo.start();
  await echo.process.said("ready");
  await answered("proxy is back", status.OK, 40_000); // the SDK finds the agent again by itself
}, 90_000);

test("a killed calling proxy, started again, goes on", async () => {
  await front.process.stop("SIGKILL");
  front.start();
  await front.process.said("ready");
  await answered("caller's proxy is back", status.OK, 40_000);
}, 60_000);

test("a killed `up` leaves calls alone; started again it adopts or stops its NATS and goes on with everything", async () => {
  await mesh.up.stop("SIGKILL");
  await answered("up killed", status.OK);
  await mesh.startUp().said("ready", 60_000);
  await answered("up is back", status.OK);
  const log: { number: number }[] = await mesh.json(0, "log");
  expect(log.map((entry) => entry.number)).toEqual([1]);
  expect(await mesh.apply(split({ v1: 100 }), "--timeout", "60s")).toMatchObject({
    created: true,
    revision: 2,
    epoch: 2,
  });
}, 120_000);

test("a killed NATS is started again by `up`; calls go on meanwhile, and policy does afterwards", async () => {
  const { pid } = JSON.parse(readFileSync(join(mesh.data, "nats", "process.json"), "utf8"));
  process.kill(pid, "SIGKILL");
  await answered("NATS killed", status.OK);
  await until(
    "NATS is back",
    async () => (await mesh.cli("apply", "-f", mesh.policy("after.yaml", frontMayCall), "--wait")).code === 0,
    40_000,
  );
  expect(await mesh.json(0, "status")).toMatchObject({ epoch: 3, revision: 3, proxies: { active: 2, behind: 0 } });
}, 90_000);

test("with control plane and NATS gone a restarted proxy serves from its last good state", async () => {
  expect(await mesh.up.stop()).toBe(0); // a clean stop takes NATS with it
  await answered("everything gone", status.OK);
  await echo.process.stop("SIGKILL");
  echo.start();
  await echo.process.said("ready");
  await answered("restarted offline", status.OK, 40_000);
  await front.process.stop("SIGKILL");
  front.start();
  await front.process.said("ready");
  await answered("caller restarted offline", status.OK, 40_000);
  const other = await run(process.execPath, [cliPath, "up", "--data", mesh.data, "--mesh", "other"]);
  expect(other.code).toBe(1);
  expectClear(other.stderr, /mesh "?test"?/);
  await mesh.startUp().said("ready", 60_000);
  expect(await mesh.apply(split({ v1: 100 }), "--timeout", "60s")).toMatchObject({
    created: true,
    revision: 4,
    epoch: 4,
  });
}, 180_000);

test("an application that leaves loses no call", async () => {
  const second = await mesh.proxy({ name: "echo-b", service: "echo", version: "v1" });
  const leaver = await mesh.app(second, "echo");
  await mesh.healthy("echo", 2);
  const codes: number[] = [];
  let going = true;
  const load = Promise.all(
    Array.from({ length: 8 }, async () => {
      while (going) codes.push((await client.unary({ text: "x", delay_ms: 5 })).code);
    }),
  );
  await until("calls flow", () => codes.length > 100);
  expect(await leaver.stop()).toBe(0);
  const after = codes.length;
  await until("calls flow on", () => codes.length > after + 100);
  going = false;
  await load;
  expect(codes.filter((code) => code !== status.OK)).toEqual([]);
}, 60_000);
