/** Services of one process share its workers: two processes for all of them, and the death of one is survived by each. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { freePort } from "../support/free-ports.js";
import { TestMesh } from "../support/mesh.js";
import { cliPath, run, TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

const toItself = `---
kind: Egress
name: itself
methods: [test.Echo/Unary]
---
kind: Authorization
name: itself
service: itself
allow:
  - from: [front]
    methods: ["*"]
`;

let mesh: TestMesh;
let host: TestProcess;
let data: string;

const socket = (service: string, name: string): string => `unix:${data}/services/${service}/run/${name}.sock`;

/** The processes that the host has started. */
function workers(): readonly number[] {
  const text = readFileSync(`/proc/${host.pid}/task/${host.pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

beforeAll(async () => {
  mesh = await TestMesh.start();
  const dir = join(mesh.dir, "host");
  data = join(dir, "d");
  mkdirSync(dir, { mode: 0o700 });
  const list: string[] = [];
  for (const [service, more] of Object.entries({
    front: "",
    echo: "\n  inbound: 127.0.0.1:0\n  agent: true",
    stranger: "",
  })) {
    writeFileSync(join(dir, `${service}.token`), await mesh.token(service));
    list.push(`- service: ${service}\n  token: ${join(dir, `${service}.token`)}${more}\n`);
  }
  writeFileSync(join(dir, "services.yaml"), list.join(""));
  host = new TestProcess("host", process.execPath, [
    ...[cliPath, "proxy", "--services", join(dir, "services.yaml"), "--data", data],
    ...["--join", join(mesh.data, "join.json"), "--status", "127.0.0.1:0", "--grace", "2s", "--workers", "2"],
  ]);
  await host.said("\nready");
  await mesh.apply(frontMayCall);
  const app = ["test/support/echo-app.mjs", "--version", "v1", "--agent", socket("echo", "agent"), "--service", "echo"];
  await mesh.child("app", process.execPath, app);
  await mesh.healthy("echo", 1);
}, 120_000);

afterAll(async () => {
  await host?.stop();
  await mesh?.stop();
}, 60_000);

async function codes(): Promise<readonly number[]> {
  const [front, stranger] = ["front", "stranger"].map((name) => new EchoClient(socket(name, "outbound"), "echo"));
  const answers = [await front?.unary({ text: "on" }), await stranger?.unary({ text: "on" })];
  front?.close();
  stranger?.close();
  return answers.map((answer) => answer?.code ?? -1);
}

test("two processes carry the calls of three services, each judged as itself", async () => {
  expect(workers()).toHaveLength(2);
  expect(await codes()).toEqual([0, 7]);
});

test("the port of a service that is added later is no egress of the workers, and is one when it is removed", async () => {
  const port = await freePort();
  const token = join(mesh.dir, "late.token");
  writeFileSync(token, await mesh.token("late"));
  const proxy = (...args: readonly string[]) =>
    run(process.execPath, [cliPath, "proxy", ...args, "--service", "late", "--data", data]);
  expect((await proxy("add", "--token", token, "--inbound", `127.0.0.1:${port}`)).stderr).toBe("");
  await mesh.apply(`${frontMayCall}${toItself}`);
  const address = ["--address", `127.0.0.1:${port}`, "--allow-address", "127.0.0.0/8"];
  await mesh.json(0, "egress", "set", "itself", ...address);
  const front = new EchoClient(socket("front", "outbound"), "itself");
  const says = (text: RegExp) =>
    until(`workers say ${text}`, async () => {
      const answers = await Promise.all(Array.from({ length: 4 }, () => front.unary({ text: "x" })));
      return answers.every(({ details }) => text.test(details));
    });
  await says(/is a port of the mesh \(inbound of late\)/);
  expect((await proxy("remove")).code).toBe(0);
  await mesh.json(0, "egress", "set", "itself", ...address, "--allow-address", "127.0.0.0/16"); // it is looked up anew
  await says(/^(?!.*is a port of the mesh)/);
  front.close();
}, 60_000);

test("a worker that is killed is replaced for every service", async () => {
  const [first = 0] = workers();
  process.kill(first, "SIGKILL");
  await until("there are two again", () => workers().length === 2 && !workers().includes(first));
  await until("every service says that it is ready", async () => {
    const [, port] = /status=127\.0\.0\.1:(\d+)/.exec(host.stdout) ?? [];
    return (await fetch(`http://127.0.0.1:${port}/readyz`)).ok;
  });
  expect(await codes()).toEqual([0, 7]);
}, 60_000);

test("a service that is removed leaves the others' workers alone; the last process ends with the proxy", async () => {
  const before = workers();
  const removed = await run(process.execPath, [cliPath, "proxy", "remove", "--service", "stranger", "--data", data]);
  expect([removed.code, removed.stdout]).toEqual([0, "stranger was removed\n"]);
  expect(workers()).toEqual(before);
  const front = new EchoClient(socket("front", "outbound"), "echo");
  expect((await front.unary({ text: "on" })).code).toBe(0);
  front.close();
  await host.stop();
  for (const pid of before) expect(() => process.kill(pid, 0)).toThrow("ESRCH");
}, 60_000);
