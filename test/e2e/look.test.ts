/** top and tap with real processes: what operators see of calls, and that nobody else sees or asks anything. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";
import { until } from "../support/until.js";

let mesh: TestMesh;
let allowed: EchoClient;
let denied: EchoClient;
let calling = true;
let loop: Promise<void>;

beforeAll(async () => {
  mesh = await TestMesh.start();
  const [echo, front, stranger] = await Promise.all([
    mesh.proxy({ name: "echo", service: "echo", version: "v2", flags: ["--workers", "2"] }),
    mesh.proxy({ name: "front", service: "front" }),
    mesh.proxy({ name: "stranger", service: "stranger" }),
  ]);
  await mesh.app(echo, "echo");
  await mesh.apply(frontMayCall);
  await mesh.healthy("echo", 1);
  allowed = new EchoClient(front.outbound, "echo");
  denied = new EchoClient(stranger.outbound, "echo");
  await until("a call is answered", async () => (await allowed.unary({ text: "?" }, { deadlineMs: 5000 })).code === 0);
  loop = (async () => {
    while (calling) {
      await allowed.unary({ text: "?" }, { deadlineMs: 5000 });
      await denied.unary({ text: "?" }, { deadlineMs: 5000 });
    }
  })();
}, 120_000);

afterAll(async () => {
  calling = false;
  await loop;
  for (const client of [allowed, denied]) client?.close();
  await mesh?.stop();
}, 60_000);

interface Pair {
  readonly caller: string;
  readonly service: string;
  readonly version: string;
  readonly calls: number;
  readonly success: number;
  readonly refused: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly toldBy: string;
}

test("top shows who calls whom, allowed and refused, from every proxy", async () => {
  let view = await mesh.json(0, "top", "--once");
  const find = (name: string): Pair | undefined => view.pairs.find(({ caller }: Pair) => caller === name);
  await until("every proxy answers and both call", async () => {
    view = await mesh.json(0, "top", "--once");
    return view.proxies.answering === 3 && find("front")?.toldBy === "caller" && find("stranger") !== undefined;
  });
  const found = (name: string): Pair => find(name) as Pair;
  expect(view.proxies).toEqual({ live: 3, answering: 3, silent: [] });
  expect(found("front")).toMatchObject({ service: "echo", version: "v2", success: 1, refused: 0, toldBy: "caller" });
  expect(found("stranger")).toMatchObject({
    service: "echo",
    success: 0,
    codes: { PERMISSION_DENIED: expect.any(Number) },
  });
  expect(found("stranger").refused).toBe(found("stranger").calls);
  expect(found("front").p99Ms).toBeGreaterThanOrEqual(found("front").p50Ms);
}, 60_000);

test("tap shows single calls of what was asked for, with the decision of a refusal", async () => {
  const { stdout } = await mesh.cli("tap", "--service", "echo", "--refused", "--count", "3", "-o", "json");
  const calls = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(calls).toHaveLength(3);
  for (const call of calls)
    expect(call).toMatchObject({
      caller: "stranger",
      service: "echo",
      code: "PERMISSION_DENIED",
      reason: "denied",
      direction: "inbound",
      attempts: 1,
      revision: 1,
      decision: expect.stringMatching(/^[0-9a-f]{24}$/),
    });
}, 60_000);

test("tap of a caller shows nothing of others, and each tap is in the audit log", async () => {
  const { stdout } = await mesh.cli("tap", "--caller", "front", "--count", "20");
  const lines = stdout.trim().split("\n");
  expect(lines).toHaveLength(20);
  for (const line of lines) expect(line).toMatch(/ {2}front -> echo@v2 {2}\S+ {2}OK {2}[\d.]+ m?s( {2}[0-9a-f]{24})?$/);
  const entries = await mesh.json(0, "audit");
  const looks = entries.filter(({ action }: { action: string }) => action === "look");
  expect(looks.map(({ target }: { target: string }) => target)).toEqual(
    expect.arrayContaining(["traffic", "calls to echo, refused", "calls by front"]),
  );
}, 60_000);
