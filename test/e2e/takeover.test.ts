/** A proxy that is started on the data folder of one that runs: it takes over, and no connection or call is lost. */

import { readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { knocks, type Load, unaryCalls } from "../support/constant-load.js";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { freePort } from "../support/free-ports.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { cliPath, run, type TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

let mesh: TestMesh;
let echo: TestProxy;
let front: TestProxy;
let app: TestProcess;
let [echoStatus, upstream] = [0, 0];
const old: TestProcess[] = [];
let loads: Record<string, Load> = {};
const stopLoads = () => Promise.all(Object.values(loads).map((load) => load.stop()));

/** A port that was free a moment ago. */
beforeAll(async () => {
  mesh = await TestMesh.start();
  [echoStatus, upstream] = [await freePort(), await freePort()];
  echo = await mesh.proxy({ name: "echo", service: "echo", flags: ["--status", `127.0.0.1:${echoStatus}`] });
  front = await mesh.proxy({
    name: "front",
    service: "front",
    flags: ["--workers", "2", "--upstream", `echo=127.0.0.1:${upstream}`],
  });
  app = await mesh.app(echo, "echo");
  await mesh.apply(frontMayCall);
  await mesh.healthy("echo", 1);
}, 90_000);

afterAll(async () => {
  await stopLoads();
  for (const one of old) await one.stop();
  await mesh?.stop();
}, 60_000);

const endpointOf = async () => {
  const services = await mesh.json(0, "services");
  return services.find((one: { name: string }) => one.name === "echo").endpoints;
};

/** Starts a successor of `proxy`. Returns the process that it takes over from. */
async function succeed(proxy: TestProxy): Promise<TestProcess> {
  const before = proxy.process;
  old.push(before);
  await proxy.start().said("ready");
  return before;
}

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(":") + 1));
const pathOf = (address: string): string => address.slice("unix:".length);
const lockOf = (proxy: TestProxy): number => JSON.parse(readFileSync(`${proxy.dir}/data/lock.json`, "utf8")).pid;

test("a successor takes every socket over: no connection is refused, no call fails, streams finish", async () => {
  const [endpoint] = await endpointOf();
  const overSocket = new EchoClient(front.outbound, "echo");
  const overPort = new EchoClient(`127.0.0.1:${upstream}`, "anything");
  loads = {
    "calls by the Unix socket": unaryCalls(overSocket),
    "calls by --upstream": unaryCalls(overPort),
    "connections to --inbound": knocks({ host: "127.0.0.1", port: portOf(endpoint.address) }),
    "connections to --outbound": knocks({ path: pathOf(front.outbound) }),
    "connections to --upstream": knocks({ host: "127.0.0.1", port: upstream }),
    "connections to --agent": knocks({ path: pathOf(echo.agent) }),
    "connections to --status": knocks({ host: "127.0.0.1", port: echoStatus }),
  };
  for (const proxy of [echo, front, echo]) {
    const stream = overSocket.bidi();
    const got: string[] = [];
    stream.on("data", ({ text }: { text: string }) => got.push(text));
    const ended = new Promise<unknown>((resolve) => {
      stream.on("error", resolve);
      stream.on("status", resolve);
    });
    stream.write({ text: "before" });
    await until("the stream answers", () => got.length === 1);
    const before = await succeed(proxy);
    stream.write({ text: "during" });
    await until("the stream goes on at the process that drains", () => got.length === 2);
    expect(before.running).toBe(true);
    stream.end();
    expect(await ended).toMatchObject({ code: 0 });
    expect(await before.exited).toBe(0);
    expect(lockOf(proxy)).toBe(proxy.process.pid);
  }
  await until("the new ones carry calls", () => Object.values(loads).every(({ done }) => done > 200), 60_000);
  await stopLoads();
  const failures = Object.entries(loads).map(([name, { failed }]) => [name, [...failed]]);
  expect(failures).toEqual(Object.keys(loads).map((name) => [name, []]));
  overSocket.close();
  overPort.close();
  const [after] = await endpointOf();
  expect(after).toMatchObject({ instance: endpoint.instance, address: endpoint.address, healthy: true });
  const proxies = await mesh.json(0, "proxies");
  expect(proxies).toHaveLength(2);
  expect(app.running).toBe(true);
}, 180_000);

test("a successor that cannot start leaves the proxy as it was; one of another service is refused", async () => {
  const running = echo.process;
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
  const taken = (blocker.address() as AddressInfo).port;
  const failing = await run(process.execPath, [cliPath, "proxy", ...echo.args, "--status", `127.0.0.1:${taken}`]);
  blocker.close();
  expect(failing.code).toBe(1);
  expect(failing.stderr).toContain(`--status: cannot listen on 127.0.0.1:${taken}: it is taken by another process`);
  await until("the proxy says that it goes on", () => running.stderr.includes("this proxy goes on"));
  const other = await run(process.execPath, [cliPath, "proxy", ...echo.args, "--service", "front"]);
  expect([other.code, other.stderr]).toEqual([
    1,
    expect.stringContaining(
      `a proxy of echo runs on the data folder ${echo.dir}/data (process ${running.pid}): stop it`,
    ),
  ]);
  const client = new EchoClient(front.outbound, "echo");
  expect(await client.unary({ text: "still" })).toMatchObject({ code: 0 });
  client.close();
  const { epoch } = await mesh.apply(`${frontMayCall}---\nkind: Service\nname: another\n`);
  const evaluating = await mesh.json(0, "proxies");
  expect(evaluating.map((one: { epoch: number }) => one.epoch)).toEqual([epoch, epoch]);
  const before = await succeed(echo);
  expect([before, await before.exited]).toEqual([running, 0]);
  expect(await mesh.json(0, "status")).toMatchObject({ epoch, proxies: { total: 2, active: 2, behind: 0 } });
}, 120_000);
