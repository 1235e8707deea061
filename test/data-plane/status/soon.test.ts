import { describe, expect, test } from "@jest/globals";
import { soonMs } from "../../../data-plane/status/soon.js";

describe("how soon a proxy says that it has switched", () => {
  test.each([
    { what: "news that came at once, or from a clock that is ahead", lagMs: 0, from: 3, to: 6 },
    { what: "a few proxies", lagMs: 10, from: 5, to: 10 },
    { what: "the first of a crowd", lagMs: 40, from: 40, to: 80 },
    { what: "a crowded machine", lagMs: 60, from: 90, to: 180 },
    { what: "a proxy that was away for a day", lagMs: 86_400_000, from: 100, to: 200 },
  ])("$what: $lagMs ms, said after $from to $to ms", ({ lagMs, from, to }) => {
    expect([soonMs(lagMs, true, 0), soonMs(lagMs, true, 1)]).toEqual([from, to]);
  });

  test("later news is never said sooner", () => {
    for (let lagMs = 0; lagMs < 200; lagMs += 1)
      expect(soonMs(lagMs + 1, true, 0.5)).toBeGreaterThanOrEqual(soonMs(lagMs, true, 0.5));
  });

  test("anything else is said within 45 ms, however late the last news came", () => {
    expect([soonMs(10, false, 0), soonMs(10, false, 1)]).toEqual([5, 10]);
    expect([soonMs(86_400_000, false, 0), soonMs(86_400_000, false, 1)]).toEqual([23, 45]);
  });
});
