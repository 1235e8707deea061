import { describe, expect, test } from "@jest/globals";
import { soonMs } from "../../../data-plane/status/soon.js";

describe("how soon a proxy says that it has switched", () => {
  test.each([
    { what: "news that came at once, or from a clock that is ahead", lagMs: 0, from: 3, to: 6 },
    { what: "a few proxies", lagMs: 10, from: 5, to: 10 },
    { what: "a crowded machine", lagMs: 60, from: 30, to: 50 },
    { what: "a proxy that was away for a day", lagMs: 86_400_000, from: 30, to: 50 },
  ])("$what: $lagMs ms, said after $from to $to ms", ({ lagMs, from, to }) => {
    expect([soonMs(lagMs, 0), soonMs(lagMs, 1)]).toEqual([from, to]);
  });

  test("later news is never said sooner", () => {
    for (let lagMs = 0; lagMs < 200; lagMs += 1)
      expect(soonMs(lagMs + 1, 0.5)).toBeGreaterThanOrEqual(soonMs(lagMs, 0.5));
  });
});
