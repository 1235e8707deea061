/** Copies of calls and several tries at once in a real mesh: an application that stands still, and one that is tried out. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { freePorts } from "../support/free-ports.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import type { TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

const [port = 0, frontPort = 0] = await freePorts(2);
let mesh: TestMesh;
let client: EchoClient;
let stopped: TestProcess;

beforeAll(async () => {
  mesh = await TestMesh.start();
  const status = (at: number): string[] => ["--status", `127.0.0.1:${at}`];
  const [one, two, tried, front] = await Promise.all([
    mesh.proxy({ name: "one", service: "echo" }),
    mesh.proxy({ name: "two", service: "echo" }),
    mesh.proxy({ name: "tried", service: "echo", version: "v2", flags: status(port) }),
    mesh.proxy({ name: "front", service: "front", flags: ["--workers", "2", ...status(frontPort)] }),
  ]);
  const apps = [one, two, tried].map((proxy: TestProxy, index) =>
    mesh.app(proxy, "echo", ["v1 at one", "v1 at two", "v2"][index]),
  );
  stopped = (await Promise.all(apps))[0] as TestProcess;
  await mesh.apply(routed("split: [{ version: v1, weight: 1 }]"));
  await mesh.healthy("echo", 3);
  client = new EchoClient(front.outbound, "echo");
}, 120_000);

afterAll(async () => {
  stopped?.child.kill("SIGCONT");
  client?.close();
  await mesh?.stop();
}, 60_000);

function routed(...fields: readonly string[]): string {
  const marked = frontMayCall.replace("Service\nname: echo\n", "Service\nname: echo\nidempotent: [test.Echo/Unary]\n");
  return `${marked}---
kind: Route
name: echo
service: echo
rules:
  - match: { methods: [test.Echo/Unary] }
${fields.map((field) => `    ${field}\n`).join("")}`;
}

async function metric(at: number, line: RegExp): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${at}/metrics`)).text();
  return [...text.matchAll(line)].reduce((sum, [, value]) => sum + Number(value), 0);
}

test("each call has one answer and a copy; the answers of copies reach nobody", async () => {
  await mesh.apply(routed("split: [{ version: v1, weight: 1 }]", "mirror: { version: v2, percent: 100 }"));
  const calls = 20;
  for (let turn = 0; turn < calls; turn++) {
    const { code, response } = await client.unary({ text: String(turn) }, { deadlineMs: 20_000 });
    expect([code, response?.text, response?.version]).toEqual([0, String(turn), expect.stringMatching(/^v1 at/)]);
  }
  await until("the copies have ended", async () => {
    return (await metric(port, /^ashlar_copied_calls_total\{.*code="OK"\} (\d+)$/gm)) === calls;
  });
  expect(await metric(port, /^ashlar_calls_total\{direction="inbound".*\} (\d+)$/gm)).toBe(0);
  await until("their answers were counted", async () => {
    return (await metric(frontPort, /^ashlar_mirrored_calls_total\{.*outcome="answered"\} (\d+)$/gm)) === calls;
  });
}, 60_000);

test("a mirror to a version that nobody runs drops its copies, and status names it", async () => {
  await mesh.apply(routed("split: [{ version: v1, weight: 1 }]", "mirror: { version: v9, percent: 100 }"));
  expect((await client.unary({ text: "?" }, { deadlineMs: 20_000 })).code).toBe(0);
  await until("it was counted", async () => {
    return (await metric(frontPort, /^ashlar_mirrored_calls_total\{.*outcome="no-instance"\} (\d+)$/gm)) === 1;
  });
  const { problems } = await mesh.json(0, "status");
  expect(problems).toContainEqual(expect.objectContaining({ code: "mirror-without-instance", subject: "echo v9" }));
}, 60_000);

test("hedged calls are answered while one of two applications stands still", async () => {
  await mesh.apply(routed("split: [{ version: v1, weight: 1 }]", "hedge: { attempts: 2, delay: 50ms }"));
  stopped.child.kill("SIGSTOP");
  const versions = new Set<string>();
  for (let turn = 0; turn < 20; turn++) {
    const { code, response } = await client.unary({ text: "?" }, { deadlineMs: 20_000 });
    expect(code).toBe(0);
    versions.add(response?.version ?? "");
  }
  expect([...versions]).toEqual(["v1 at two"]);
  await until("tries beside others are counted", async () => {
    return (await metric(frontPort, /^ashlar_hedges_total\{.*outcome="won"\} (\d+)$/gm)) > 0;
  });
}, 60_000);
