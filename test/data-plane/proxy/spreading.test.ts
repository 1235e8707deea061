/** Calls over two real proxies of a service: who gets them by health, ejection, keys, zones and circuit breakers. */
import { Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { RouteRule } from "../../../core/model.js";
import type { ByteHandlers } from "../../support/byte-service.js";
import { buildPolicy, everyone, issueIdentity, type TestUnit } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair, TestSide } from "../../support/proxy-pair.js";

type How = "answer" | "hang" | "fail";

let pair: ProxyPair;
let second: TestSide;
let how: { first: How; second: How };
let served: { first: number; second: number };
let addresses: readonly string[] = [];

const handlersOf = (which: "first" | "second"): ByteHandlers => ({
  Unary: (call, respond) => {
    served[which]++;
    if (how[which] === "answer") respond(null, call.request);
    else if (how[which] === "fail") respond({ code: status.UNAVAILABLE, details: "the application is ill" });
  },
});

beforeEach(async () => {
  how = { first: "answer", second: "answer" };
  served = { first: 0, second: 0 };
  pair = await ProxyPair.start(handlersOf("first"));
  second = new TestSide(issueIdentity(pair.pki, "bytes"), pair.pki.rootPem);
  second.policy.switchTo(buildPolicy(1, [{ service: "bytes", allow: [everyone] }]));
  const first = pair.callee.app.current;
  await pair.startServer(handlersOf("second"));
  second.app.set(pair.callee.app.current);
  pair.callee.app.set(first);
  addresses = [pair.address, (await second.inbound()).address];
  pair.caller.endpoints.all.length = 0;
  for (const address of addresses) pair.caller.endpoints.add("bytes", address);
});
afterEach(() => {
  second.close();
  pair.stop();
});

let revision = 1;
function follow(resilience: TestUnit["resilience"], rules?: readonly RouteRule[]): void {
  revision++;
  const unit = {
    service: "bytes",
    allow: [everyone],
    ...(rules ? { rules } : {}),
    ...(resilience ? { resilience } : {}),
  };
  pair.caller.policy.switchTo(buildPolicy(revision, [unit]));
}

/** Changes what an instance's proxy says of it. */
function state(index: number, about: { readonly unhealthy?: string; readonly labels?: Record<string, string> }): void {
  const { all } = pair.caller.endpoints;
  const labels = Object.entries(about.labels ?? {}).map(([key, value]) => ({ key, value }));
  const { unhealthy } = about;
  all[index] = { ...(all[index] as (typeof all)[number]), labels, unhealthy };
}

function metadataOf(headers: Record<string, string>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}

async function call(deadlineMs = 20_000, headers: Record<string, string> = {}) {
  const { error } = await pair
    .client()
    .unary(Buffer.alloc(3), metadataOf(headers), { deadline: Date.now() + deadlineMs });
  return { code: error?.code ?? status.OK, details: error?.details ?? "" };
}

async function calls(count: number, headers?: Record<string, string>): Promise<ReadonlySet<status>> {
  const codes = new Set<status>();
  for (let turn = 0; turn < count; turn++) codes.add((await call(20_000, headers)).code);
  return codes;
}

const outliers = {
  ...{ consecutiveFailures: 3, consecutiveTimeouts: 2, baseEjectionMs: 60_000 },
  ...{ maxEjectionMs: 60_000, maxEjected: 5000 },
};

describe("an instance is left out", () => {
  test("whose application hangs: after two calls without an answer nobody waits for it any more", async () => {
    follow({ outliers });
    await calls(20);
    how.second = "hang";
    const codes: status[] = [];
    const { ejections } = pair.caller.metrics;
    while (ejections.length === 0 && codes.length < 40) codes.push((await call(2000)).code);
    expect(codes.filter((code) => code === status.DEADLINE_EXCEEDED)).toHaveLength(2);
    expect(await calls(30)).toEqual(new Set([status.OK]));
    expect(ejections).toEqual(["bytes timeouts"]);
  }, 60_000);

  test("whose calls fail one after the other", async () => {
    follow({ outliers });
    how.first = "fail";
    const codes: status[] = [];
    const { ejections } = pair.caller.metrics;
    while (ejections.length === 0 && codes.length < 60) codes.push((await call()).code);
    expect(codes.filter((code) => code === status.UNAVAILABLE)).toHaveLength(3);
    expect(await calls(30)).toEqual(new Set([status.OK]));
    expect(ejections).toEqual(["bytes failures"]);
  }, 60_000);

  test("that its own proxy says is ill, while another is well; where all are ill they are called all the same", async () => {
    state(1, { unhealthy: "it failed its health checks" });
    expect(await calls(20)).toEqual(new Set([status.OK]));
    expect(served.second).toBe(0);
    state(0, { unhealthy: "it failed its health checks" });
    expect(await calls(40)).toEqual(new Set([status.OK]));
    expect(served.second).toBeGreaterThan(0);
  }, 60_000);

  test("without policy a caller in a hurry holds nothing against it", async () => {
    how.second = "hang";
    for (let turn = 0; turn < 30; turn++) await call(30);
    expect(pair.caller.metrics.ejections).toEqual([]);
  }, 60_000);
});

describe("calls go", () => {
  test("by key to one instance, and to the other when that is gone", async () => {
    follow({ balance: { policy: "ringHash", header: "x-user" } });
    await calls(30, { "x-user": "ann" });
    expect([served.first, served.second].sort()).toEqual([0, 30]);
    const home = served.first > 0 ? 0 : 1;
    pair.caller.endpoints.all.splice(home, 1);
    expect(await calls(5, { "x-user": "ann" })).toEqual(new Set([status.OK]));
    expect(served.first + served.second).toBe(35);
    expect(Math.min(served.first, served.second)).toBe(5);
  }, 60_000);

  test("near, as long as enough instances there are healthy", async () => {
    const labels = [{ key: "zone", value: "a" }];
    pair.caller.labels = labels;
    await pair.caller.outbound(`${pair.dir}/near.sock`, undefined, labels);
    follow({ locality: { label: "zone", spillOver: true } });
    state(0, { labels: { zone: "a" } });
    state(1, { labels: { zone: "b" } });
    const client = pair.clientAt(`${pair.dir}/near.sock`);
    for (let turn = 0; turn < 20; turn++) await client.unary(Buffer.alloc(1));
    expect(served).toEqual({ first: 20, second: 0 });
    state(0, { labels: { zone: "a" }, unhealthy: "ill" });
    for (let turn = 0; turn < 20; turn++) await client.unary(Buffer.alloc(1));
    expect(served.second).toBe(20);
  }, 60_000);

  test("in a split by labels to the instances that have them", async () => {
    state(0, { labels: { zone: "a" } });
    state(1, { labels: { zone: "b" } });
    const split = [{ version: "", labels: [{ key: "zone", value: "b" }], weight: 1 }];
    follow(undefined, [{ match: undefined, split, timeoutMs: 0 }]);
    expect(await calls(20)).toEqual(new Set([status.OK]));
    expect(served).toEqual({ first: 0, second: 20 });
    state(1, { labels: {} });
    expect((await call()).details).toMatch(/zone=b/);
  }, 60_000);

  test("tried again at another instance", async () => {
    how.first = "fail";
    const retry = { attempts: 2, on: ["UNAVAILABLE"], backoffMs: 1, maxBackoffMs: 1, perTryTimeoutMs: 0 };
    follow({ outliers: { ...outliers, consecutiveFailures: 0 } }, [
      { match: undefined, split: [], timeoutMs: 0, retry },
    ]);
    // However the draws fall the budget has a retry for each: ten a second, and a fifth of the calls.
    expect(await calls(12)).toEqual(new Set([status.OK]));
    expect(served.first).toBeGreaterThan(0);
  }, 60_000);

  test("over no more connections than the circuit breaker allows", async () => {
    follow({ breaker: { connections: 1 } });
    expect(await calls(20)).toEqual(new Set([status.OK]));
    expect(pair.caller.pool.connectionsTo("bytes ")).toBe(1);
    expect([served.first, served.second].sort((a, b) => a - b)).toEqual([0, 20]);
  }, 60_000);

  test("no further than the circuit breaker allows", async () => {
    how = { first: "hang", second: "hang" };
    follow({ breaker: { calls: 5 } });
    const open = Array.from({ length: 5 }, () => call(3000));
    await eventually("five calls are open", () => served.first + served.second === 5);
    const refused = await call(3000);
    expect(refused).toMatchObject({ code: status.UNAVAILABLE });
    expect(refused.details).toMatch(/circuit breaker of bytes is open: 5 calls are open/);
    await Promise.all(open);
    how = { first: "answer", second: "answer" };
    expect(await calls(10)).toEqual(new Set([status.OK]));
  }, 60_000);
});
