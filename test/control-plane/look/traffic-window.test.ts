import { expect, test } from "@jest/globals";
import { TrafficWindow } from "../../../control-plane/look/traffic-window.js";
import { callBoundsMs, codesCount, type TrafficCounts } from "../../../core/look/look-model.js";

const counts = (fields: Partial<TrafficCounts> & { readonly by?: Record<number, number> } = {}): TrafficCounts => {
  const { by = { 0: 10 }, ...rest } = fields;
  const codes = Array.from({ length: codesCount }, (_, code) => by[code] ?? 0);
  const calls = codes.reduce((sum, count) => sum + count, 0);
  const took = new Array<number>(callBoundsMs.length + 1).fill(0);
  took[3] = calls; // 2.5 to 5 ms
  return { outbound: true, other: "payments", method: "a.B/C", version: "v1", codes, took, streams: calls, ...rest };
};
const checkout = { service: "checkout", proxyId: "c1" };
const payments = { service: "payments", proxyId: "p1" };

test("calls of the last ten seconds count, by pair, method and version", () => {
  const window = new TrafficWindow(0);
  for (let second = 1; second <= 15; second++) {
    window.take(checkout, [counts({ by: { 0: 8, 7: 1, 14: 1 } })]);
    if (second < 15) window.read(second * 1000);
  }
  const read = window.read(15_000);
  expect(read.windowMs).toBe(10_000);
  expect(read.pairs).toEqual([
    {
      caller: "checkout",
      service: "payments",
      method: "a.B/C",
      version: "v1",
      calls: 100,
      refused: 10,
      failed: 10,
      p50Ms: 3.75,
      p99Ms: 4.975,
      codes: [0, 80, 7, 10, 14, 10],
      calledSide: false,
    },
  ]);
  expect(window.read(30_000).pairs).toEqual([]);
});

test("what both sides tell of the same calls counts once, as the caller has it", () => {
  const window = new TrafficWindow(0);
  window.take(checkout, [counts({ by: { 0: 9, 14: 1 }, streams: 11 })]);
  window.take(payments, [counts({ outbound: false, other: "checkout", by: { 0: 11 } })]);
  expect(window.read(1000).pairs).toMatchObject([{ calls: 10, failed: 1, calledSide: false }]);
});

test("where callers do not tell, the called side does", () => {
  const window = new TrafficWindow(0);
  window.take(checkout, [counts({ by: { 0: 10 } })]);
  window.take(payments, [counts({ outbound: false, other: "checkout", by: { 0: 100 } })]);
  window.take(payments, [counts({ outbound: false, other: "gateway/web", by: { 7: 5 } })]);
  expect(window.read(1000).pairs).toMatchObject([
    { caller: "checkout", calls: 100, calledSide: true },
    { caller: "gateway/web", calls: 5, refused: 5, calledSide: true },
  ]);
});

test("kinds above the bound count as one", () => {
  const window = new TrafficWindow(0);
  for (let n = 0; n < 20; n++)
    window.take(
      { service: `caller-${n}`, proxyId: "c" },
      Array.from({ length: 400 }, (_, method) => counts({ method: `a.B/M${method}`, by: { 0: 1 } })),
    );
  const pairs = window.read(1000).pairs;
  expect(pairs).toHaveLength(5001);
  expect(pairs.reduce((sum, { calls }) => sum + calls, 0)).toBe(8000);
  expect(pairs[0]).toMatchObject({ caller: "other", service: "other", calls: 3000 });
});

test("a proxy has as many reports in the window as any other, at whatever moment between two reads it tells them", () => {
  for (const everyMs of [1000, 2000, 3000, 5000]) {
    const window = new TrafficWindow(0);
    for (let round = 1; round <= 20; round++) {
      // the one told just after a read, the other just before the next
      window.take(checkout, [counts({ by: { 0: everyMs } })]);
      window.take({ service: "cart", proxyId: "t1" }, [counts({ by: { 0: everyMs } })]);
      const { windowMs, pairs } = window.read(round * (everyMs + 3));
      const rates = pairs.map(({ calls }) => Math.round(calls / windowMs));
      expect([everyMs, round, rates]).toEqual([everyMs, round, [1, 1]]);
      expect(windowMs).toBeLessThanOrEqual(10_500);
    }
  }
});

test("kinds that left the window leave nothing of their edge behind", () => {
  const window = new TrafficWindow(0);
  window.take(payments, [counts({ outbound: false, other: "checkout", by: { 0: 100 } })]);
  window.take(checkout, [counts({ by: {}, streams: 9 })]);
  expect(window.read(1000).pairs).toMatchObject([{ calls: 100, calledSide: true }]);
  expect(window.read(20_000).pairs).toEqual([]);
  window.take(checkout, [counts({ by: { 0: 5 } })]);
  expect(window.read(21_000).pairs).toMatchObject([{ calls: 5, calledSide: false }]);
});
