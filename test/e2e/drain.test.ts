/** SIGTERM at an application behind `--app`, at an application and its proxy, at a caller's proxy, and at `up`, under calls. */
import { Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import type { TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

const versions = ["a", "b"] as const;
type Version = (typeof versions)[number];
const graceS = 6;
let mesh: TestMesh;
let front: TestProxy;
let client: EchoClient;
const proxies = new Map<Version, TestProxy>();
const apps = new Map<Version, TestProcess>();

/** A call with x-to is for that version alone. */
const policy = `${frontMayCall}---
kind: Route
name: echo
service: echo
rules:
${versions.map((version) => `  - match: { headers: { x-to: ${version} } }\n    split: [{ version: ${version}, weight: 1 }]\n    whenEmpty: fail`).join("\n")}
  - match: {}
`;

const socketOf = (version: Version): string => `unix:${mesh.dir}/${version}-app.sock`;

async function startApp(version: Version): Promise<void> {
  const args = ["test/support/echo-app.mjs", "--version", version, "--listen", socketOf(version)];
  apps.set(version, await mesh.child(`app ${version}`, process.execPath, args));
}

beforeAll(async () => {
  mesh = await TestMesh.start();
  for (const version of versions) {
    const flags = ["--app", socketOf(version), "--grace", `${graceS}s`];
    proxies.set(version, await mesh.proxy({ name: version, service: "echo", version, flags }));
    await startApp(version);
  }
  front = await mesh.proxy({ name: "front", service: "front", flags: ["--grace", "3s"] });
  await mesh.apply(policy);
  await mesh.healthy("echo", 2);
  client = new EchoClient(front.outbound, "echo");
}, 150_000);

afterAll(async () => {
  client?.close();
  await mesh?.stop();
}, 60_000);

const to = (version: Version): Metadata => {
  const metadata = new Metadata();
  metadata.set("x-to", version);
  return metadata;
};

/** Calls all the time; returns what they came to. */
function load() {
  const outcomes = new Set<string>();
  const answered = new Set<string>();
  let [calling, done] = [true, 0];
  const lane = async (): Promise<void> => {
    while (calling) {
      const { code, details, response } = await client.unary({ text: "?" });
      outcomes.add(code === 0 ? "0" : `${code} ${details}`);
      answered.add(response?.version ?? "");
      done += 1;
    }
  };
  const lanes = Array.from({ length: 4 }, lane);
  return {
    answered,
    /** Waits until 20 further calls are answered all by others than `version`. */
    async leaves(version: Version): Promise<void> {
      await until(`no call goes to ${version}`, async () => {
        answered.clear();
        const from = done;
        await until("calls are answered", () => done >= from + 20);
        return !answered.has(version);
      });
    },
    async stop(): Promise<readonly string[]> {
      calling = false;
      await Promise.all(lanes);
      return [...outcomes];
    },
  };
}

/** Opens a stream to a version, which has answered once. */
async function open(version: Version) {
  const stream = client.raw.Bidi(to(version));
  const ended = new Promise<StatusObject>((resolve) => stream.on("status", resolve));
  const first = new Promise((resolve) => stream.once("data", resolve));
  stream.on("error", () => {}); // its status says it
  stream.write({ text: "?" });
  await first;
  return { ended, end: (): void => void stream.end() };
}

test("an application behind --app: its open calls finish, no call fails, and it is back when it is started again", async () => {
  const calls = load();
  await until("both answer", () => versions.every((version) => calls.answered.has(version)));
  const late = client.unary({ text: "late", delay_ms: 1500 }, { metadata: to("a") });
  const stream = await open("a");
  apps.get("a")?.child.kill("SIGTERM");
  await mesh.healthy("echo", 1);
  await calls.leaves("a"); // the caller's proxy hears of it a moment after the control plane, or before
  stream.end();
  expect((await stream.ended).code).toBe(status.OK);
  expect(await late).toMatchObject({ code: 0, response: { version: "a" } });
  expect(await apps.get("a")?.exited).toBe(0);
  expect([...calls.answered]).toEqual(["b"]);
  await startApp("a");
  await until("it answers again", () => calls.answered.has("a"), 30_000);
  expect(await calls.stop()).toEqual(["0"]);
}, 120_000);

test("an application and its proxy at once: what is open finishes, and no call fails", async () => {
  const calls = load();
  const late = client.unary({ text: "late", delay_ms: 1500 }, { metadata: to("b") });
  const stream = await open("b");
  const proxy = proxies.get("b") as TestProxy;
  apps.get("b")?.child.kill("SIGTERM");
  proxy.process.child.kill("SIGTERM");
  stream.end();
  expect((await stream.ended).code).toBe(status.OK);
  expect(await late).toMatchObject({ code: 0, response: { version: "b" } });
  expect([await apps.get("b")?.exited, await proxy.process.exited]).toEqual([0, 0]);
  proxy.start();
  await proxy.process.said("ready");
  await startApp("b");
  calls.answered.clear();
  await until("it answers again", () => calls.answered.has("b"), 30_000);
  expect(await calls.stop()).toEqual(["0"]);
}, 120_000);

test("what outlives the grace is answered 14 with the reason", async () => {
  const stream = await open("b");
  const proxy = proxies.get("b") as TestProxy;
  proxy.process.child.kill("SIGTERM");
  expect(await stream.ended).toMatchObject({ code: status.UNAVAILABLE, details: "the proxy is stopping" });
  expect(await proxy.process.exited).toBe(0);
  expect(proxy.process.stderr).toContain("calls were cut when the grace ended");
  proxy.start();
  await proxy.process.said("ready");
  await mesh.healthy("echo", 2);
}, 120_000);

test("up: calls and streams do not notice, and what an operator waits for ends", async () => {
  const calls = load();
  const stream = await open("a");
  const watching = mesh.cli("wait", "--epoch", "9999", "--timeout", "120s");
  await until("both answer", () => versions.every((version) => calls.answered.has(version)));
  mesh.up.child.kill("SIGTERM");
  expect(await mesh.up.exited).toBe(0);
  expect((await watching).stderr).not.toContain("    at "); // no stack trace
  calls.answered.clear();
  await until("both answer on", () => versions.every((version) => calls.answered.has(version)));
  await mesh.startUp().said("ready");
  await mesh.healthy("echo", 2);
  stream.end();
  expect((await stream.ended).code).toBe(status.OK);
  expect(await calls.stop()).toEqual(["0"]);
}, 120_000);

test("a caller's proxy: its application's open calls finish within the grace, then get 14 with the reason", async () => {
  const short = client.unary({ text: "?", delay_ms: 300 }, { metadata: to("a") });
  const stream = await open("a");
  front.process.child.kill("SIGTERM");
  expect((await short).code).toBe(0);
  expect(await stream.ended).toMatchObject({ code: status.UNAVAILABLE, details: "the proxy is stopping" });
  expect(await front.process.exited).toBe(0);
}, 120_000);
