import { expect, test } from "@jest/globals";
import { EdgeLimiter } from "../../../data-plane/edge/edge-limits.js";
import { NetworkSpread } from "../../../data-plane/workers/network-spread.js";

const address = "192.0.2.1";
const about = { listener: 0, address };

test("workers hear how many of them a network is at, and only when that changes", () => {
  const spread = new NetworkSpread();
  expect(spread.opened(0, address, 0)).toEqual([]);
  expect(spread.opened(0, address, 0)).toEqual([]);
  expect(spread.opened(0, address, 2)).toEqual([0, 2].map((worker) => ({ ...about, worker, workers: 2 })));
  expect(spread.opened(1, address, 1)).toEqual([]);
  expect(spread.closed(0, address, 0)).toEqual([]);
  expect(spread.closed(0, address, 0)).toEqual([
    { ...about, worker: 0, workers: 1 },
    { ...about, worker: 2, workers: 1 },
  ]);
  expect(spread.closed(0, address, 2)).toEqual([]);
  expect(spread.gone(1)).toEqual({ tell: [], ended: [{ listener: 1, address }] });
  for (const worker of [0, 1, 2]) expect(spread.gone(worker)).toEqual({ tell: [], ended: [] });
});

test("the addresses of one IPv6 /64 are one network; what ends with a worker is given back, connection by connection", () => {
  const spread = new NetworkSpread();
  spread.opened(0, "2001:db8::1", 0);
  spread.opened(0, "2001:db8::2", 0);
  const told = spread.opened(0, "2001:db8::3", 1);
  expect(told.map(({ workers }) => workers)).toEqual([2, 2]);
  const { tell, ended } = spread.gone(0);
  expect([tell.map(({ worker, workers }) => [worker, workers]), ended.length]).toEqual([[[1, 1]], 2]);
});

test("a network at several workers makes as many calls in all as at one", () => {
  for (const rate of [
    { tokens: 100, periodMs: 1000 },
    { tokens: 6, periodMs: 60_000 },
  ]) {
    const counts = [1, 2, 4].map((workers) => {
      const limiters = Array.from({ length: workers }, () => new EdgeLimiter());
      for (const limiter of limiters) {
        limiter.follow({ callsPerAddress: rate });
        limiter.spread(address, workers);
      }
      let passed = 0;
      for (let nowMs = 0; nowMs < 600_000; nowMs += 50)
        for (const limiter of limiters)
          for (let one = 0; one < 8; one++) if (limiter.waitOfCall(address, nowMs) === 0) passed += 1;
      return passed;
    });
    const allowed = (rate.tokens * 600_000) / rate.periodMs;
    for (const passed of counts) expect(Math.abs(passed - allowed) / allowed).toBeLessThan(0.06);
  }
});
