import { describe, expect, test } from "@jest/globals";
import type { Limit } from "../../../core/kinds/rate-limit/rate-limit.js";
import { fairShare } from "../../../core/limit/fair-share.js";
import { SharedBudgets } from "../../../core/limit/shared-budgets.js";
import { limitDigest } from "../../../core/limit/shared-table.js";
import { ShareSimulation } from "../../support/share-simulation.js";

const limit: Limit = {
  per: [],
  methods: [],
  rate: { tokens: 1000, periodMs: 1000 },
  burst: 2000,
  costs: [],
  scope: "mesh",
  disconnected: "share",
};
const evenly = (members: number, total: number) => Array.from({ length: members }, () => total / members);
const surroundings = { members: 3, workers: 1, connected: true, intervalMs: 100 };

/** Within ±5 %. */
function expectAbout(admitted: number, ideal: number): void {
  expect(admitted / ideal).toBeGreaterThan(0.95);
  expect(admitted / ideal).toBeLessThan(1.05);
}

describe("a fair share", () => {
  test.each<[string, number, number[], number, number]>([
    ["nobody asks: even", 0, [], 4, 0.25],
    ["room for all: what is asked, and an even part of the rest", 20, [40], 4, 0.3],
    ["one asks for all", 500, [], 4, 1],
    ["too much is asked: nobody gets more than anybody", 500, [200, 1000], 3, 1 / 3],
    ["who asks little gets it, with some room", 10, [500, 500], 3, 0.11],
    ["and the others the rest", 500, [10, 500], 3, 0.45],
    ["who asks for nothing gets nothing then", 0, [500, 500], 3, 0],
  ])("%s", (_what, own, others, members, share) => {
    expect(fairShare(100, own, others, members)).toBeCloseTo(share, 6);
  });
});

describe("a budget over several proxies", () => {
  test.each([1, 2, 3, 10, 40])(
    "ten times too much comes to %i of them at once: burst and rate pass, ±5 %%",
    (members) => {
      const simulation = new ShareSimulation({ limit, members });
      expectAbout(simulation.run(5000, evenly(members, 10_000)), 2000 + 5 * 1000);
    },
  );

  test("all of it comes to one of three: it gets the others' part of the burst too", () => {
    const simulation = new ShareSimulation({ limit, members: 3 });
    expectAbout(simulation.run(5000, [10_000, 0, 0]), 2000 + 5 * 1000);
  });

  test("skewed load: those with little get what they ask, the others the rest", () => {
    const simulation = new ShareSimulation({ limit, members: 4 });
    simulation.run(2000, [5000, 3000, 100, 150]);
    expectAbout(simulation.run(5000, [5000, 3000, 100, 150]), 5000);
    expect(simulation.admitted[2]).toBeGreaterThan(0.9 * 500);
    expect(simulation.admitted[3]).toBeGreaterThan(0.9 * 750);
  });

  test.each([0.05, 0.2])("with %d of the messages lost", (loss) => {
    const simulation = new ShareSimulation({ limit, members: 5, loss });
    simulation.run(1000, [4000, 2000, 1000, 300, 50]);
    expectAbout(simulation.run(8000, [4000, 2000, 1000, 300, 50]), 8000);
  });

  test("load that moves: settled after half a second", () => {
    const simulation = new ShareSimulation({ limit, members: 3 });
    simulation.run(3000, [9000, 0, 0]);
    for (const loads of [
      [0, 9000, 0],
      [0, 0, 9000],
      [3000, 3000, 3000],
      [9000, 100, 0],
    ]) {
      simulation.run(500, loads);
      expectAbout(simulation.run(3000, loads), 3000);
    }
  });

  test("a proxy joins, one leaves", () => {
    const simulation = new ShareSimulation({ limit, members: 3 });
    simulation.run(4000, evenly(3, 9000));
    simulation.join();
    simulation.run(1000, evenly(4, 9000));
    expectAbout(simulation.run(3000, evenly(4, 9000)), 3000);
    simulation.leave(0);
    simulation.leave(0);
    simulation.run(1500, evenly(2, 9000));
    expectAbout(simulation.run(3000, evenly(2, 9000)), 3000);
  });

  test("below the limit, hardly anything is refused", () => {
    const simulation = new ShareSimulation({ limit, members: 3 });
    expect(simulation.run(10_000, [600, 200, 50])).toBeGreaterThan(0.99 * 8500);
  });

  test("sixty proxies that report every 400 ms", () => {
    const simulation = new ShareSimulation({ limit, members: 60, intervalMs: 400 });
    simulation.run(2000, evenly(60, 10_000));
    expectAbout(simulation.run(4000, evenly(60, 10_000)), 4000);
  });
});

describe("a budget over the workers of a proxy", () => {
  test.each([2, 4, 16])("ten times too much comes to %i of them at once: burst and rate pass, ±5 %%", (workers) => {
    const simulation = new ShareSimulation({ limit: { ...limit, scope: "proxy" }, members: 1, workers });
    simulation.setConnected(false); // NATS has no part in it
    expectAbout(simulation.run(5000, evenly(workers, 10_000)), 2000 + 5 * 1000);
  });

  test.each<[string, number[]]>([
    ["all of it at one", [10_000, 0, 0, 0]],
    ["skewed", [6000, 3000, 100, 50]],
  ])("%s: within ±5 %% from the start", (_what, loads) => {
    const simulation = new ShareSimulation({ limit: { ...limit, scope: "proxy" }, members: 1, workers: 4 });
    expectAbout(simulation.run(5000, loads), 2000 + 5 * 1000);
  });

  test("another proxy has no word in it", () => {
    const own = { ...limit, scope: "proxy" } as const;
    const simulation = new ShareSimulation({ limit: own, members: 2, workers: 2 });
    simulation.run(1000, evenly(4, 20_000));
    expectAbout(simulation.run(4000, evenly(4, 20_000)), 2 * 4000);
  });
});

describe("a budget of the mesh over proxies with workers", () => {
  test.each<[string, number[]]>([
    ["even", evenly(6, 10_000)],
    ["all at one worker", [10_000, 0, 0, 0, 0, 0]],
    ["all at one proxy", [5000, 5000, 0, 0, 0, 0]],
    ["skewed", [4000, 100, 2000, 2000, 200, 50]],
  ])("%s: within ±5 %% when settled", (_what, loads) => {
    const simulation = new ShareSimulation({ limit, members: 3, workers: 2 });
    simulation.run(1500, loads);
    expectAbout(simulation.run(5000, loads), 5000);
  });

  test("the burst is passed once", () => {
    const simulation = new ShareSimulation({ limit, members: 3, workers: 2 });
    expectAbout(simulation.run(5000, evenly(6, 10_000)), 2000 + 5 * 1000);
  });

  test("proxies divide evenly, however their calls are spread over workers", () => {
    const simulation = new ShareSimulation({ limit, members: 2, workers: 4 });
    simulation.run(2000, [9000, 0, 0, 0, 3000, 3000, 3000, 3000]);
    expectAbout(simulation.run(5000, [9000, 0, 0, 0, 3000, 3000, 3000, 3000]), 5000);
    const [first = 0, ...rest] = simulation.admitted;
    expect(first / (first + rest.reduce((sum, one) => sum + one, 0))).toBeCloseTo(0.5, 1);
  });

  test("with messages lost, and load that moves", () => {
    const simulation = new ShareSimulation({ limit, members: 3, workers: 2, loss: 0.05 });
    for (const loads of [evenly(6, 10_000), [10_000, 0, 0, 0, 0, 0], [0, 0, 5000, 100, 3000, 0]]) {
      simulation.run(1500, loads);
      expectAbout(simulation.run(5000, loads), 5000);
    }
  });

  test.each<[Limit["disconnected"], number]>([
    ["share", 1],
    ["full", 2],
    ["closed", 0],
  ])("cut off: %s", (disconnected, times) => {
    const simulation = new ShareSimulation({ limit: { ...limit, disconnected }, members: 2, workers: 3 });
    simulation.run(2000, evenly(6, 10_000));
    simulation.setConnected(false);
    simulation.run(7000, evenly(6, 10_000));
    const admitted = simulation.run(3000, evenly(6, 10_000));
    if (times === 0) expect(admitted).toBe(0);
    else expectAbout(admitted, times * 3000);
    simulation.setConnected(true);
    simulation.run(1500, evenly(6, 10_000));
    expectAbout(simulation.run(3000, evenly(6, 10_000)), 3000);
  });
});

describe("cut off from the others", () => {
  test.each<[Limit["disconnected"], number]>([
    ["share", 1],
    ["full", 3],
    ["closed", 0],
  ])("%s", (disconnected, times) => {
    const simulation = new ShareSimulation({ limit: { ...limit, disconnected }, members: 3 });
    simulation.run(4000, evenly(3, 9000));
    simulation.setConnected(false);
    simulation.run(7000, evenly(3, 9000));
    const admitted = simulation.run(3000, evenly(3, 9000));
    if (times === 0) expect(admitted).toBe(0);
    else expectAbout(admitted, times * 3000);
    simulation.setConnected(true);
    simulation.run(1500, evenly(3, 9000));
    expectAbout(simulation.run(3000, evenly(3, 9000)), 3000);
  });
});

test("load that comes when the others are gone meets the shares that there were", () => {
  const simulation = new ShareSimulation({ limit, members: 3 });
  simulation.run(4000, [60, 60, 60]);
  simulation.setConnected(false);
  simulation.run(5000, evenly(3, 9000));
  expectAbout(simulation.run(3000, evenly(3, 9000)), 3000);
});

describe("a peer that lies", () => {
  const key = limitDigest("");

  function admittedAgainst(told: (step: number) => { perSecond: number; released: number }): number {
    const budgets = new SharedBudgets(limit, 1000, { members: 2, workers: 1 }, 0);
    let admitted = 0;
    for (let nowMs = 0; nowMs < 10_000; nowMs += 1) {
      if (nowMs % 50 === 0) budgets.hear("liar", [{ key, ...told(nowMs / 50) }], nowMs);
      if (nowMs % 100 === 0) budgets.tick(nowMs, { ...surroundings, members: 2 });
      for (let i = 0; i < 10; i += 1) {
        const slot = budgets.touch("", nowMs, 1);
        if (budgets.levelOf(slot) < 1) continue;
        budgets.take(slot, 1);
        admitted += 1;
      }
    }
    return admitted;
  }

  test("by asking for everything it takes no more than its part", () => {
    expect(admittedAgainst(() => ({ perSecond: 1e12, released: 0 }))).toBeGreaterThan(0.95 * 5000);
  });

  test("by releasing what it does not have it can at most double what passes here", () => {
    const admitted = admittedAgainst((step) => ({ perSecond: step % 2 === 0 ? 0 : 1e6, released: step * 1e9 }));
    expect(admitted).toBeLessThan(2 * (2000 + 10_000));
  });

  test("I8: a flood of keys, its own or heard of, never grows the table", () => {
    const budgets = new SharedBudgets({ ...limit, per: ["caller"] }, 5000, { members: 3, workers: 1 }, 0);
    for (let i = 0; i < 20_000; i += 1) {
      budgets.hear("liar", [{ key: limitDigest(`heard ${i}`), perSecond: 5, released: 0 }], i / 100);
      budgets.touch(`own ${i}`, i / 100, 1);
    }
    expect(budgets.size).toBe(5000);
    expect(budgets.tick(300, surroundings).length).toBeLessThanOrEqual(128);
  });
});
