/** Looking at calls over a memory bus: who may, what one look costs, and that nothing goes on when nobody looks. */
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { LookDesk } from "../../../control-plane/look/look-desk.js";
import { lookMethods } from "../../../control-plane/look/look-methods.js";
import { Taps } from "../../../control-plane/look/taps.js";
import { Traffic } from "../../../control-plane/look/traffic.js";
import type { SpiffeId } from "../../../core/identity.js";
import { callBoundsMs, codesCount, type LookOrder, type TappedCall } from "../../../core/look/look-model.js";
import { encodeTapReport, encodeTrafficReport, verifyLookOrder } from "../../../core/wire/look.js";
import { keySetOf } from "../../../core/wire/records.js";
import { lookOrderSubject, lookSubject } from "../../../core/wire/subjects.js";
import type { Bus } from "../../../runtime/bus.js";
import { silentLogger } from "../../../runtime/log.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";
import { StatementReader } from "../../../runtime/statement-reader.js";
import { StatementWriter } from "../../../runtime/statement-writer.js";
import { ManualClock } from "../../support/manual-clock.js";
import { buildTrust, createTestKey, testMesh } from "../../support/records.js";
import { StatementPki } from "../../support/statements.js";

const operator = `spiffe://${testMesh}/operator/admin` as SpiffeId;
const everything = { service: "", caller: "", method: "", refused: false, slowMs: 0 };
const call: TappedCall = {
  ...{ timeMs: 1, outbound: false, caller: "checkout", service: "payments", method: "a.B/C", version: "v1", code: 0 },
  ...{ reason: "", tookMs: 1, revision: 1, decision: "", attempts: 1, traceId: "" },
};
const key = createTestKey();
const keys = keySetOf(buildTrust([key]));
const pki = new StatementPki();

let clock: ManualClock;
let bus: Bus;
let orders: LookOrder[];
let desk: LookDesk;
let stop: AbortController;
let writers: Map<string, StatementWriter>;
const settle = () => new Promise((resolve) => setImmediate(resolve));

beforeEach(() => {
  clock = new ManualClock(Date.now());
  bus = new MemoryBroker().connect();
  orders = [];
  writers = new Map();
  stop = new AbortController();
  const heard = bus.subscribe(lookOrderSubject);
  void (async () => {
    for await (const { data } of heard) orders.push(verifyLookOrder(data, testMesh, keys).body);
  })();
  const reader = new StatementReader({ mesh: testMesh, trusting: () => pki.trust, clock });
  let ids = 0;
  const random = (count: number) => new Uint8Array(count).fill(++ids);
  desk = new LookDesk({ mesh: testMesh, signer: key.signer, bus, reader, clock, log: silentLogger, random });
});
afterEach(() => stop.abort());

/** What the proxy `proxyId` of payments says; `as`: whose subject it uses. */
function answer(proxyId: string, bytes: Uint8Array, order: string, as = proxyId): void {
  const writer =
    writers.get(proxyId) ?? new StatementWriter({ identity: { current: pki.issue("payments", proxyId) }, clock });
  writers.set(proxyId, writer);
  const headers = writer.sign("look", bytes);
  bus.publish(lookSubject("payments", as, order), bytes, headers);
}

const fleet = { live: () => [{ heartbeat: { proxyId: "p1" } }, { heartbeat: { proxyId: "p2" } }] as never };
const counts = (calls: number) => ({
  ...{ outbound: false, other: "checkout", method: "a.B/C", version: "v1", streams: calls },
  codes: Array.from({ length: codesCount }, (_, code) => (code === 0 ? calls : 0)),
  took: Array.from({ length: callBoundsMs.length + 1 }, (_, at) => (at === 0 ? calls : 0)),
});

test("all who watch traffic share one order, which is repeated, and taken back when the last leaves", async () => {
  const traffic = new Traffic({ desk, fleet, clock });
  const [first, second] = [new AbortController(), new AbortController()];
  const views = traffic.watch(operator, first.signal);
  const one = views.next();
  const other = traffic.watch(operator, second.signal).next();
  await clock.advance(0);
  await settle();
  expect(orders).toHaveLength(1);
  const order = orders[0]?.id ?? "";
  const report = encodeTrafficReport(
    { order, intervalMs: 1000, counts: [counts(5)] },
    { service: "payments", proxyId: "p1" },
  );
  answer("p1", report, order);
  await settle();
  await clock.advance(3100);
  await settle();
  const view = (await one).value;
  expect(view).toMatchObject({ proxies: 2, pairs: [{ caller: "checkout", service: "payments", calls: 5 }] });
  await other;
  await settle();
  expect(orders.length).toBeGreaterThan(1);
  expect(new Set(orders.map(({ id }) => id)).size).toBe(1);
  first.abort();
  second.abort();
  await views.return();
  await clock.advance(1);
  await settle();
});

for (const [proxies, everyMs] of [
  [1, 1000],
  [50, 1000],
  [51, 2000],
  [200, 4000],
  [420, 5000],
  [20_000, 5000],
] as const)
  test(`of ${proxies} proxies each is asked for counts every ${everyMs} ms, and views come as often`, async () => {
    const live = Array.from({ length: proxies }, (_, at) => ({ heartbeat: { proxyId: `p${at}` } }));
    const traffic = new Traffic({ desk, fleet: { live: () => live as never }, clock });
    const views: number[] = [];
    void (async () => {
      for await (const _ of traffic.watch(operator, stop.signal)) views.push(clock.monotonicMs());
    })();
    await settle();
    expect(orders[0]).toMatchObject({ tap: undefined, everyMs });
    await clock.advance(12_000);
    expect(views.slice(0, 3)).toEqual([1500, 1500 + everyMs, 1500 + 2 * everyMs]);
  });

test("a tap tells what its proxies sign, and nothing that another one says in their name", async () => {
  const taps = new Taps({ desk, clock });
  const batches = taps.open({ ...everything, service: "payments" }, operator, stop.signal);
  expect((await batches.next()).value).toEqual({ proxyId: "", calls: [], dropped: 0 });
  await settle();
  const order = orders[0]?.id ?? "";
  expect(orders[0]).toMatchObject({ tap: { service: "payments" }, operator });
  const report = encodeTapReport({ order, calls: [call], dropped: 3 }, { service: "payments", proxyId: "p1" });
  answer("p2", report, order, "p1");
  bus.publish(lookSubject("payments", "p1", order), report);
  answer(
    "p1",
    encodeTapReport({ order: "ff".repeat(16), calls: [call], dropped: 0 }, { service: "payments", proxyId: "p1" }),
    order,
  );
  const foreign = { ...call, service: "ledger" };
  answer("p1", encodeTapReport({ order, calls: [foreign], dropped: 0 }, { service: "payments", proxyId: "p1" }), order);
  answer("p1", report, order);
  await settle();
  expect((await batches.next()).value).toEqual({ proxyId: "p1", calls: [expect.objectContaining(call)], dropped: 3 });
  stop.abort();
  expect((await batches.next()).done).toBe(true);
  await settle();
  expect(orders.at(-1)).toMatchObject({ id: order, validMs: 0 });
});

test("a ninth tap is refused, and one that ended makes room", async () => {
  const taps = new Taps({ desk, clock });
  const ends = Array.from({ length: 8 }, () => new AbortController());
  const open = ends.map(({ signal }) => taps.open(everything, operator, signal));
  for (const batches of open) await batches.next();
  await expect(taps.open(everything, operator, stop.signal).next()).rejects.toMatchObject({ code: "limit" });
  ends[0]?.abort();
  await open[0]?.next();
  expect(() => taps.checkRoom()).not.toThrow();
  for (const end of ends) end.abort();
});

test("all who watch the whole mesh are given one answer, those who watch a service their own", async () => {
  const audit = { record: async () => {} };
  const traffic = new Traffic({ desk, fleet, clock });
  const deps = {
    mesh: testMesh,
    audit,
    logins: { note: async () => {} },
    taps: new Taps({ desk, clock }),
    traffic,
    clock,
  };
  const { watchTraffic } = lookMethods(deps as never);
  const context = {
    ...{ caller: operator, certificateSerial: "1", source: "x", method: "/a/WatchTraffic", signal: stop.signal },
    ...{ deadlineMs: undefined, certificateExpiresMs: undefined },
  };
  const asked = ["", "", "payments"].map((service) =>
    watchTraffic.handle({ service }, context)[Symbol.asyncIterator]().next(),
  );
  await settle();
  await clock.advance(1500);
  const [one, other, own] = (await Promise.all(asked)).map(({ value }) => value);
  expect(one).toMatchObject({ proxies: 2 });
  expect(other).toBe(one);
  expect(own).not.toBe(one);
});

test("only operators look, and a refusal is noted", async () => {
  const noted: string[] = [];
  const audit = {
    record: async ({ action, target, outcome }: { action: string; target: string; outcome: string }) =>
      void noted.push(`${action} ${target} ${outcome}`),
  };
  const taps = new Taps({ desk, clock });
  const traffic = new Traffic({ desk, fleet, clock });
  const methods = lookMethods({
    mesh: testMesh,
    audit,
    logins: { note: async () => {} },
    taps,
    traffic,
    clock,
  } as never);
  const context = {
    caller: `spiffe://${testMesh}/service/payments` as SpiffeId,
    certificateSerial: "1",
    source: "x",
    method: "/a/TapCalls",
    signal: stop.signal,
    deadlineMs: undefined,
    certificateExpiresMs: undefined,
  };
  const asked = methods.tapCalls.handle({ filter: everything }, context)[Symbol.asyncIterator]();
  await expect(asked.next()).rejects.toMatchObject({ code: "denied" });
  const good = methods.tapCalls
    .handle({ filter: { ...everything, refused: true } }, { ...context, caller: operator })
    [Symbol.asyncIterator]();
  await good.next();
  const bad = methods.tapCalls
    .handle({ filter: { ...everything, method: "no slash" } }, { ...context, caller: operator })
    [Symbol.asyncIterator]();
  await expect(bad.next()).rejects.toMatchObject({ code: "invalid_argument" });
  expect(noted).toEqual(["refuse TapCalls denied", "look calls, refused ok"]);
});
