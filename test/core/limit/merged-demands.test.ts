import { expect, test } from "@jest/globals";
import { MergedDemands } from "../../../core/limit/merged-demands.js";

const one = (perSecond: number, released: number, key = "k") => ({
  limits: [{ limit: "l", keys: [{ key, perSecond, released }] }],
});

test("what the workers ask and gave up is told in sum", () => {
  const merged = new MergedDemands();
  merged.hear("a", one(10, 3), 0);
  merged.hear("b", one(5, 2), 10);
  expect(merged.report(20)).toEqual(one(15, 5));
  merged.hear("a", one(2, 7), 100);
  expect(merged.report(110)).toEqual(one(7, 9));
});

test("what was given up stays in the sum when a worker ends, or begins to count anew", () => {
  const merged = new MergedDemands();
  merged.hear("a", one(10, 3), 0);
  merged.hear("b", one(5, 2), 0);
  merged.forget("a");
  expect(merged.report(20)).toEqual(one(5, 5));
  merged.hear("a", one(1, 1), 30);
  expect(merged.report(40)).toEqual(one(6, 6));
  merged.hear("b", one(5, 0), 50);
  expect(merged.report(60)).toEqual(one(6, 6));
});

test("a worker that says nothing for a second asks for nothing, and a key that nobody speaks of is forgotten", () => {
  const merged = new MergedDemands();
  merged.hear("a", one(10, 3), 0);
  merged.hear("b", one(5, 0), 900);
  expect(merged.report(1100)).toEqual(one(5, 3));
  expect(merged.report(2000)).toEqual({ limits: [] });
  merged.report(6000);
  expect(merged.size).toBe(0);
});

test("a report has no more than its bound, those with the most demand, and a flood of keys grows nothing (I8)", () => {
  const merged = new MergedDemands();
  for (let key = 0; key < 10_000; key += 1) merged.hear("a", one(key, 0, `k${key}`), 0);
  expect(merged.size).toBe(4096);
  const [limit] = merged.report(10).limits;
  expect(limit?.keys).toHaveLength(128);
  expect(limit?.keys[0]?.perSecond).toBe(4095);
});
