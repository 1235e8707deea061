import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { healthyOrAll, nearShare, subsetFor } from "../../../core/balance/eligible.js";
import { pickByKey, pickInTurn, pickLeastLoaded, slowStartWeight } from "../../../core/balance/pick.js";

const itself = (id: string): string => id;
const ids = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `i${index}`);
const draws = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

/** How often each was picked. */
function countPicks(picks: readonly (string | undefined)[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const pick of picks) counts[pick ?? "none"] = (counts[pick ?? "none"] ?? 0) + 1;
  return counts;
}

describe("pickLeastLoaded", () => {
  test("takes the less loaded of two, the first winning a tie, and the only one there is", () => {
    expect(pickLeastLoaded([], () => 0, undefined, 0)).toBeUndefined();
    expect(pickLeastLoaded(["a"], () => 9, undefined, 0.9)).toBe("a");
    expect(pickLeastLoaded(["a", "b"], (id) => (id === "a" ? 2 : 1), undefined, 0)).toBe("b");
    expect(pickLeastLoaded(["a", "b"], () => 1, undefined, 0)).toBe("a");
  });

  test("never takes the more loaded of its two candidates, and both candidates differ", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5), { minLength: 2, maxLength: 8 }), draws, (loads, draw) => {
        const all = loads.map((load, index) => ({ load, index }));
        const picked = pickLeastLoaded(all, ({ load }) => load, undefined, draw);
        expect(picked).toBeDefined();
        const most = Math.max(...loads);
        if (loads.filter((load) => load === most).length === 1) expect(picked?.load).toBeLessThan(most);
      }),
    );
  });

  test("gives an instance with a tenth of the weight far fewer calls", () => {
    const picks = Array.from({ length: 1000 }, (_, step) =>
      pickLeastLoaded(
        ["old", "new", "other"],
        () => 3,
        (id) => (id === "new" ? 0.1 : 1),
        step / 1000,
      ),
    );
    expect(countPicks(picks)).not.toHaveProperty("new");
  });
});

describe("pickInTurn", () => {
  test("takes one after the other", () => {
    expect(
      countPicks(Array.from({ length: 99 }, (_, turn) => pickInTurn(["a", "b", "c"], turn, undefined, 0))),
    ).toEqual({
      a: 33,
      b: 33,
      c: 33,
    });
    expect(pickInTurn([], 5, undefined, 0)).toBeUndefined();
  });

  test("passes over an instance with less weight, and still takes it when it is alone", () => {
    const weightOf = (id: string): number => (id === "new" ? 0.1 : 1);
    const picks = Array.from({ length: 1000 }, (_, turn) =>
      pickInTurn(["old", "new"], turn, weightOf, (turn / 1000) % 1),
    );
    expect(countPicks(picks).new).toBeLessThan(80);
    expect(pickInTurn(["new"], 0, weightOf, 0.99)).toBe("new");
  });
});

describe("pickByKey", () => {
  const keys = Array.from({ length: 20_000 }, (_, index) => `k${index}`);

  test("spreads keys evenly, and moves only those of an instance that goes", () => {
    const all = ids(10);
    const before = keys.map((key) => pickByKey(all, key, itself, undefined));
    for (const count of Object.values(countPicks(before))) expect(Math.abs(count - 2000)).toBeLessThan(200);
    const after = keys.map((key) => pickByKey(all.slice(1), key, itself, undefined));
    expect(keys.every((_, index) => before[index] === "i0" || before[index] === after[index])).toBe(true);
    const moved = countPicks(keys.flatMap((_, index) => (before[index] === "i0" ? [after[index]] : [])));
    expect(Object.keys(moved)).toHaveLength(9);
  });

  test("does not depend on the order in which instances came", () => {
    const all = ids(7);
    for (const key of keys.slice(0, 200))
      expect(pickByKey(all.toReversed(), key, itself, undefined)).toBe(pickByKey(all, key, itself, undefined));
  });
});

describe("subsetFor", () => {
  test("is stable: one instance more or less changes one place at most", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 5, max: 60 }),
        fc.integer({ min: 1, max: 10 }),
        fc.string(),
        (count, size, proxy) => {
          const before = subsetFor(ids(count), size, proxy, itself);
          const after = subsetFor(ids(count + 1), size, proxy, itself);
          expect(before).toHaveLength(Math.min(size, count));
          expect(before.filter((id) => !after.includes(id)).length).toBeLessThanOrEqual(1);
        },
      ),
    );
  });

  test("uses every instance about alike over many proxies", () => {
    const counts: Record<string, number> = {};
    for (let proxy = 0; proxy < 2000; proxy++)
      for (const id of subsetFor(ids(50), 10, `p${proxy}`, itself)) counts[id] = (counts[id] ?? 0) + 1;
    for (const id of ids(50)) expect(Math.abs((counts[id] ?? 0) - 400)).toBeLessThan(100);
  });
});

test.each([
  [10_000, 30_000, 1 / 3],
  [0, 30_000, 0.1],
  [30_000, 30_000, 1],
  [90_000, 30_000, 1],
])("after %d ms of a slow start of %d ms an instance has the weight %d", (age, slowStart, weight) => {
  expect(slowStartWeight(age, slowStart)).toBeCloseTo(weight, 6);
});

describe("health", () => {
  const all = ids(10);
  const firstHealthy = (count: number) => (id: string) => Number(id.slice(1)) < count;

  test("leaves out the unhealthy while enough are healthy, and nobody below the panic threshold", () => {
    expect(healthyOrAll(all, firstHealthy(10), 3000)).toBe(all);
    expect(healthyOrAll(all, firstHealthy(4), 3000)).toHaveLength(4);
    expect(healthyOrAll(all, firstHealthy(3), 3000)).toHaveLength(3);
    expect(healthyOrAll(all, firstHealthy(2), 3000)).toBe(all);
    expect(healthyOrAll(all, firstHealthy(0), 0)).toHaveLength(0);
  });

  test.each([
    [4, 4, true, true, 1],
    [4, 3, true, true, 1],
    [4, 2, true, true, 0.7],
    [4, 0, true, true, 0],
    [4, 1, false, true, 1],
    [4, 1, true, false, 1],
    [0, 0, true, true, 0],
    [0, 0, true, false, 1],
  ])(
    "of %d near instances %d are healthy, others %p, spill-over %p: %d stay near",
    (near, healthy, others, spill, share) => {
      expect(nearShare(near, healthy, others, spill)).toBeCloseTo(share, 6);
    },
  );
});
