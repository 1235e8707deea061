/** A real mesh in which the clocks of a proxy and of the control plane are wrong, and are set while it runs. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { freePort } from "../support/free-ports.js";
import { TestMesh, type TestProxy } from "../support/mesh.js";
import { until } from "../support/until.js";

const hourMs = 3_600_000;
const policy = `${frontMayCall}---
kind: Route
name: echo
service: echo
rules:
  - maxStaleness: 30s
`;
let folder: string;
let mesh: TestMesh;
let front: TestProxy;
let client: EchoClient;
let statusPort: number;

const setClock = (whose: "up" | "front", offMs: number): void => writeFileSync(join(folder, whose), String(offMs));
const metric = async (name: string): Promise<number> => {
  const text = await (await fetch(`http://127.0.0.1:${statusPort}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
};
const problems = async (): Promise<string> => (await mesh.ask((admin) => admin.getStatus({}))).problems.join("\n");
const freshAgain = (): Promise<void> =>
  until("a statement counts again", async () => (await metric("ashlar_freshness_age_seconds")) < 4, 60_000);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "ash-clock-"));
  setClock("up", 0);
  setClock("front", 20_000);
  statusPort = await freePort();
  mesh = await TestMesh.start("test", [], join(folder, "up"));
  const flags = ["--status", `127.0.0.1:${statusPort}`];
  const echo = await mesh.proxy({ name: "echo", service: "echo" });
  front = await mesh.proxy({ name: "front", service: "front", flags, clockFile: join(folder, "front") });
  await mesh.app(echo, "echo");
  await mesh.apply(policy);
  await mesh.healthy("echo", 1);
  client = new EchoClient(front.outbound, "echo");
}, 240_000);

afterAll(async () => {
  client?.close();
  await mesh?.stop();
  rmSync(folder, { recursive: true, force: true });
}, 240_000);

test("a proxy 20 s ahead carries calls, is told of, and does so after a restart from its disk", async () => {
  await freshAgain();
  expect((await client.unary({ text: "x" })).code).toBe(0);
  await until("its metric tells it", async () => Math.round(await metric("ashlar_clock_ahead_seconds")) === 20);
  await until("status names its clock", async () =>
    /the clock of proxy front-\w+ \(front\) is 20 s ahead/.test(await problems()),
  );
  await until("the list of proxies tells it", async () => {
    const shown = (await mesh.json(0, "proxies")).find(({ service }: { service: string }) => service === "front");
    return Math.round(shown.clockAheadMs / 1000) === 20;
  });
  await front.process.stop();
  await front.start().said("ready");
  await freshAgain();
  expect((await client.unary({ text: "x" })).code).toBe(0);
}, 180_000);

test("a control plane that was an hour ahead for some seconds costs no more than those", async () => {
  setClock("up", hourMs);
  await until("status tells whose clock it is", async () =>
    /this control plane's clock is ahead/.test(await problems()),
  );
  setClock("up", 0);
  await freshAgain();
  expect((await client.unary({ text: "x" })).code).toBe(0);
  await until("status tells it no more", async () => !/this control plane's clock/.test(await problems()));
}, 180_000);

test("a proxy whose clock is set back by an hour while it runs notices nothing", async () => {
  setClock("front", -hourMs);
  await until("its clock is told", async () => (await metric("ashlar_clock_ahead_seconds")) < -3000);
  await freshAgain();
  expect((await client.unary({ text: "x" })).code).toBe(0);
}, 180_000);
