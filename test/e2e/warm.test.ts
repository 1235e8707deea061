/** Warming up: calls that a proxy carries in memory before its start are seen by nobody, and need not succeed. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { freePort } from "../support/free-ports.js";
import { TestMesh } from "../support/mesh.js";
import { cliPath, logLines, TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

let mesh: TestMesh;
const started: TestProcess[] = [];
beforeAll(async () => {
  mesh = await TestMesh.start();
}, 60_000);
afterAll(async () => {
  await Promise.all(started.map((one) => one.stop()));
  await mesh?.stop();
}, 60_000);

const messagesOf = (process: TestProcess): readonly unknown[] => logLines(process).map(({ msg }) => msg);

/** A proxy that nobody waits for. */
async function start(service: string, ...flags: readonly string[]): Promise<TestProcess> {
  const token = join(mesh.dir, `${service}.token`);
  writeFileSync(token, await mesh.token(service));
  const proxy = new TestProcess(service, process.execPath, [
    ...[cliPath, "proxy", "--service", service, "--token", token, "--join", join(mesh.data, "join.json")],
    ...["--data", join(mesh.dir, service), "--inbound", "127.0.0.1:0", "--log-format", "json", ...flags],
  ]);
  started.push(proxy);
  return proxy;
}

test("a proxy warms up before it joins, and its metrics know of no call", async () => {
  const port = await freePort();
  const proxy = await start("alone", "--warm", "on", "--status", `127.0.0.1:${port}`, "--record-share", "1");
  await proxy.said("ready");
  const [first, second, third] = logLines(proxy);
  expect([first?.msg, second?.msg, third?.msg]).toEqual(["starting", "warmed up", "joined the mesh"]);
  expect(second?.calls).toBeGreaterThan(0);
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  expect(metrics).not.toContain("warm");
  const counted = [
    ...metrics.matchAll(/^(ashlar_\w*(?:calls|connections|decisions|requests|streams)\w*)(\{.*\})? (\S+)$/gm),
  ];
  expect(counted.length).toBeGreaterThan(5);
  const beside = /limit|_max/; // how many there may be
  expect(counted.filter(([, name = "", , value]) => value !== "0" && !beside.test(name)).map(([line]) => line)).toEqual(
    [],
  );
});

test("services of one process warm up once, and not at all without --warm on", async () => {
  const services = join(mesh.dir, "services.yaml");
  const further = join(mesh.dir, "further.token");
  writeFileSync(further, await mesh.token("further"));
  writeFileSync(services, JSON.stringify([{ service: "further", token: further }]));
  const both = await start("both", "--warm", "on", "--services", services);
  await both.said("ready");
  await until(
    "the other service joins",
    () => messagesOf(both).filter((msg) => msg === "joined the mesh").length === 2,
  );
  expect(messagesOf(both).filter((msg) => msg === "warmed up")).toHaveLength(1);
  const cold = await start("cold");
  await cold.said("ready");
  expect(messagesOf(cold)).not.toContain("warmed up");
});

function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

test("a worker that dies while it warms up is said and replaced, and the proxy becomes ready", async () => {
  const proxy = await start("workers", "--warm", "on", "--workers", "2");
  await until("a worker is started", () => childrenOf(proxy.pid).length > 0);
  const [killed = 0] = childrenOf(proxy.pid);
  process.kill(killed, "SIGKILL");
  await proxy.said("ready");
  const said = logLines(proxy).filter(({ level }) => level === 50);
  expect(said).toMatchObject([
    { msg: "a worker ended while it started or warmed up, another one is started", how: "SIGKILL" },
  ]);
  expect(messagesOf(proxy).filter((msg) => msg === "a worker carries calls")).toHaveLength(2);
  expect(messagesOf(proxy)).not.toContain("warmed up"); // its first process carries no calls
});
