import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { BucketTable } from "../../../core/limit/bucket-table.js";
import { runs } from "../../support/runs.js";

/** Takes one token if it is there. */
function tryTake(table: BucketTable, key: string, nowMs: number, tokens = 1): boolean {
  const slot = table.touch(key, nowMs);
  if (table.levelOf(slot) + 1e-6 < tokens) return false;
  table.take(slot, tokens);
  return true;
}

describe("a bucket", () => {
  test("passes its burst at once, then what comes back, and says how long that takes", () => {
    const table = new BucketTable(100 / 1000, 5, 10);
    expect(Array.from({ length: 7 }, () => tryTake(table, "a", 0))).toEqual([
      ...Array<boolean>(5).fill(true),
      false,
      false,
    ]);
    expect(table.waitMs(table.touch("a", 0), 1)).toBeCloseTo(10);
    expect(tryTake(table, "a", 9.9)).toBe(false);
    expect(tryTake(table, "a", 10)).toBe(true);
    expect(table.levelOf(table.touch("a", 1e9))).toBe(5);
  });

  test("a clock that steps back gives nothing and takes nothing", () => {
    const table = new BucketTable(1, 10, 10);
    table.take(table.touch("a", 1000), 10);
    expect(table.levelOf(table.touch("a", 500))).toBe(0);
    expect(table.levelOf(table.touch("a", 1001))).toBe(1);
  });

  test("over any interval no more than burst + rate x time passes, and under load at least 95 % of it", () => {
    const rates = fc.record({
      tokens: fc.integer({ min: 1, max: 5000 }),
      burst: fc.integer({ min: 1, max: 1000 }),
      gaps: fc.array(fc.double({ min: 0, max: 20, noNaN: true }), { minLength: 200, maxLength: 600 }),
    });
    fc.assert(
      fc.property(rates, ({ tokens, burst, gaps }) => {
        const table = new BucketTable(tokens / 1000, burst, 4);
        const passed: number[] = [];
        let nowMs = 1234.5;
        let askedAlways = true;
        for (const gap of gaps) {
          nowMs += gap;
          let took = 0;
          while (tryTake(table, "k", nowMs)) {
            passed.push(nowMs);
            took += 1;
          }
          if (took >= burst && passed.length > burst) askedAlways = false; // it was full: tokens were lost
        }
        for (let from = 0; from < passed.length; from += 7) {
          const elapsed = (passed.at(-1) ?? 0) - (passed[from] ?? 0);
          expect(passed.length - from).toBeLessThanOrEqual(burst + (tokens * elapsed) / 1000 + 1e-3);
        }
        if (askedAlways) {
          const ideal = burst + (tokens * (nowMs - 1234.5 - (gaps[0] ?? 0))) / 1000;
          expect(passed.length).toBeGreaterThanOrEqual(Math.floor(ideal * 0.95) - 1);
        }
      }),
      { numRuns: runs(60) },
    );
  });
});

describe("a table of keys", () => {
  test("I8: a flood of 1,000,000 keys evicts and never grows; what passes is bounded by the table", () => {
    const keysMax = 1000;
    const burst = 2;
    const table = new BucketTable(1 / 1000, burst, keysMax);
    const before = process.memoryUsage().heapUsed;
    let passed = 0;
    for (let i = 0; i < 1_000_000; i += 1) {
      const nowMs = i / 1000;
      if (tryTake(table, `key ${i}`, nowMs)) passed += 1;
    }
    expect(table.size).toBe(keysMax);
    expect(passed).toBeLessThanOrEqual(keysMax * (burst + 1 * 1)); // one second went by
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024);
  });

  test("a caller who cycles keys does not get his own budget back for nothing", () => {
    const table = new BucketTable(1e-9, 10, 3);
    for (let i = 0; i < 10; i += 1) expect(tryTake(table, "mine", 0)).toBe(true);
    let passed = 0;
    for (let i = 0; i < 100_000; i += 1) if (tryTake(table, `other ${i}`, 0)) passed += 1;
    if (tryTake(table, "mine", 0)) passed += 1;
    expect(passed).toBeLessThanOrEqual(2 * 10);
  });

  test("the key used longest ago goes first, and one that was full leaves a full place", () => {
    const table = new BucketTable(1, 5, 2);
    table.take(table.touch("a", 0), 5);
    table.take(table.touch("b", 0), 3);
    table.touch("a", 0);
    expect(table.levelOf(table.touch("c", 0))).toBe(2); // the place of b
    expect(table.levelOf(table.touch("a", 1))).toBe(1);
    expect(table.levelOf(table.touch("d", 100))).toBe(5);
    expect(table.size).toBe(2);
  });

  test("shrinking keeps the keys used last, with what they have left", () => {
    const table = new BucketTable(1e-9, 5, 100);
    for (let i = 0; i < 100; i += 1) table.take(table.touch(`key ${i}`, 0), 1 + (i % 5));
    table.setKeysMax(3);
    expect(table.size).toBe(3);
    expect([97, 98, 99].map((i) => table.levelOf(table.touch(`key ${i}`, 0)))).toEqual([2, 1, 0]);
    expect(table.size).toBe(3);
  });
});
