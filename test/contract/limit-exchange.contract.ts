/** What every way of exchanging limit reports has to do, and what several proxies make of it: in real time. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Limit } from "../../core/kinds/rate-limit/rate-limit.js";
import type { LimitReport } from "../../core/limit/limit-report.js";
import { Limiter } from "../../core/limit/limiter.js";
import type { LimitExchange } from "../../data-plane/limits/limit-exchange.js";
import { ShareLoop } from "../../data-plane/limits/share-loop.js";
import { systemClock } from "../../runtime/clock.js";
import { untilTrue } from "../support/until.js";

export interface ExchangeWorld {
  /** Three that share. */
  readonly members: readonly LimitExchange[];
  /** How many proxies they are of; the same number of each. */
  readonly proxies: number;
  /** Takes the exchange away from all; undefined: it cannot go. */
  readonly lose: (() => Promise<void>) | undefined;
  close(): Promise<void>;
}

const key = Buffer.alloc(16, 7).toString("base64url");
const report: LimitReport = { limits: [{ limit: key, keys: [{ key, perSecond: 12.5, released: 3 }] }] };
const limit: Limit = {
  per: [],
  methods: [],
  rate: { tokens: 500, periodMs: 1000 },
  burst: 1000,
  costs: [],
  scope: "mesh",
  disconnected: "share",
};
const call = { caller: "c", method: "p.P/A", inputs: { header: () => undefined, claims: undefined } };

export function describeLimitExchange(name: string, open: () => Promise<ExchangeWorld>): void {
  describe(name, () => {
    let world: ExchangeWorld;
    const stop = new AbortController();
    beforeAll(async () => {
      world = await open();
    }, 30_000);
    afterAll(async () => {
      stop.abort();
      await world.close();
    });

    test("what one tells, the others hear as it was, and it does not", async () => {
      const heard: [number, string, LimitReport][] = [];
      const stops = world.members.map((member, index) =>
        member.onReport((peer, told) => void heard.push([index, peer, told])),
      );
      await untilTrue(() => {
        world.members[0]?.publish(report, "mesh");
        return new Set(heard.map(([index]) => index)).size === 2;
      });
      for (const stopListening of stops) stopListening();
      expect(heard.every(([index]) => index !== 0)).toBe(true);
      expect(new Set(heard.map(([, peer]) => peer)).size).toBe(1);
      expect(heard[0]?.[2]).toEqual(report);
      const { proxies } = world;
      for (const { members, workers } of world.members) expect([members, workers]).toEqual([proxies, 3 / proxies]);
    });

    test("three share one budget under ten times its load, ±5 %, evenly and skewed; cut off, each keeps its share", async () => {
      const limiters = world.members.map((member) => {
        const loop = new ShareLoop(member, systemClock);
        void loop.run(stop.signal);
        const limiter = new Limiter(loop.openBudgets);
        limiter.adopt([{ kind: "RateLimit", name: "shared", service: "s", limits: [limit] }]);
        return limiter;
      });
      const first = await load(limiters, [1, 1, 1], 3000);
      expectAbout(first.admitted, 1000 + 500 * first.seconds);
      await load(limiters, [10, 1, 0], 1000);
      const skewed = await load(limiters, [10, 1, 0], 3000);
      expectAbout(skewed.admitted, 500 * skewed.seconds);
      if (world.lose === undefined) return;
      await load(limiters, [1, 1, 1], 1000);
      await world.lose();
      await untilTrue(() => world.members.every(({ connected }) => !connected));
      await load(limiters, [1, 1, 1], 4000);
      const alone = await load(limiters, [1, 1, 1], 2000);
      expectAbout(alone.admitted, 500 * alone.seconds);
    }, 60_000);
  });
}

/** Ten times the limit, spread by `weights`, for so long. */
async function load(
  limiters: readonly Limiter[],
  weights: readonly number[],
  forMs: number,
): Promise<{ admitted: number; seconds: number }> {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const startMs = systemClock.monotonicMs();
  const owed = limiters.map(() => 0);
  let admitted = 0;
  let beforeMs = startMs;
  while (beforeMs - startMs < forMs) {
    await new Promise((done) => setTimeout(done, 2));
    const nowMs = systemClock.monotonicMs();
    for (const [index, limiter] of limiters.entries()) {
      owed[index] = (owed[index] ?? 0) + ((nowMs - beforeMs) * 5 * (weights[index] ?? 0)) / total;
      for (; (owed[index] ?? 0) >= 1; owed[index] = (owed[index] ?? 0) - 1)
        if (limiter.check(call, nowMs) === undefined) admitted += 1;
    }
    beforeMs = nowMs;
  }
  return { admitted, seconds: (beforeMs - startMs) / 1000 };
}

function expectAbout(admitted: number, ideal: number): void {
  expect(admitted / ideal).toBeGreaterThan(0.95);
  expect(admitted / ideal).toBeLessThan(1.05);
}
