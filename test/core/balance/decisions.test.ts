import { describe, expect, test } from "@jest/globals";
import { BreakerCounts } from "../../../core/balance/breaker.js";
import { HealthTrack } from "../../../core/balance/health-track.js";
import { DestinationBudget, defaultRetryBudget } from "../../../core/balance/retry-budget.js";
import { decideRetry, parsePushback } from "../../../core/balance/retry-decision.js";

const retry = { attempts: 3, on: new Set([14, 10]), backoffMs: 25, maxBackoffMs: 40, perTryTimeoutMs: 0 };

describe("a retry", () => {
  test.each([
    ["a listed code", { code: 14, tries: 1, pushbackMs: undefined }, 0.5, { again: true, waitMs: 12.5 }],
    [
      "twice as long the next time, up to the bound",
      { code: 10, tries: 2, pushbackMs: undefined },
      1,
      { again: true, waitMs: 40 },
    ],
    ["no more tries than allowed", { code: 14, tries: 3, pushbackMs: undefined }, 0, { again: false }],
    ["another code", { code: 13, tries: 1, pushbackMs: undefined }, 0, { again: false }],
    ["OK", { code: 0, tries: 1, pushbackMs: undefined }, 0, { again: false }],
    ["the server's own wait", { code: 14, tries: 1, pushbackMs: 700 }, 0.5, { again: true, waitMs: 700 }],
    ["at once, if the server says so", { code: 14, tries: 1, pushbackMs: 0 }, 0.5, { again: true, waitMs: 0 }],
    ["the server says no", { code: 14, tries: 1, pushbackMs: -1 }, 0.5, { again: false }],
    ["pushback on a code that is not listed", { code: 13, tries: 1, pushbackMs: 5 }, 0.5, { again: false }],
  ])("%s", (_name, failed, draw, expected) => {
    expect(decideRetry(retry, failed, draw)).toEqual(expected);
  });

  test.each([
    [undefined, undefined],
    ["0", 0],
    ["1500", 1500],
    ["-1", -1],
    ["soon", -1],
    ["", -1],
    ["1.5", -1],
    ["99999999999", -1],
  ])("pushback %p is %p", (text, expected) => {
    expect(parsePushback(text)).toBe(expected);
  });
});

describe("a destination's retry budget", () => {
  test("is a share of its calls and a few a second, however long it was quiet", () => {
    const budget = new DestinationBudget(defaultRetryBudget, 0);
    const taken = (nowMs: number, tries: number): number =>
      Array.from({ length: tries }, () => budget.take(nowMs)).filter(Boolean).length;
    expect(taken(0, 100)).toBe(10);
    for (let call = 0; call < 1000; call++) budget.earn(1000);
    expect(taken(1000, 1000)).toBe(210);
    for (let call = 0; call < 1000; call++) budget.earn(2000);
    expect(taken(40_000, 1000)).toBe(10);
    expect(budget.refused).toBeGreaterThan(0);
  });
});

test("a circuit breaker refuses what is over a bound, says which, and counts it", () => {
  const breaker = new BreakerCounts({ calls: 2, waiting: 1, connections: 1 });
  expect([breaker.begin(), breaker.begin(), breaker.begin()]).toEqual([undefined, undefined, "calls"]);
  breaker.ended();
  expect(breaker.begin()).toBeUndefined();
  expect([breaker.wait(), breaker.wait()]).toEqual([undefined, "waiting"]);
  breaker.waited();
  expect(breaker.wait()).toBeUndefined();
  expect([breaker.allowsConnection(0), breaker.allowsConnection(1)]).toEqual([true, false]);
  expect(breaker.refused).toEqual({ connections: 0, calls: 1, waiting: 1 });
  const open = new BreakerCounts({});
  expect([open.begin(), open.wait(), open.allowsConnection(1e6)]).toEqual([undefined, undefined, true]);
});

test("health changes after so many checks one after the other, and one that differs begins anew", () => {
  const track = new HealthTrack({ unhealthyAfter: 3, healthyAfter: 2 }, true);
  const checks = [false, false, true, false, false, false, true, false, true, true];
  expect(checks.map((check) => [track.note(check), track.isHealthy])).toEqual([
    ...[false, false, false, false, false].map((changed) => [changed, true]),
    [true, false],
    ...[false, false, false].map((changed) => [changed, false]),
    [true, true],
  ]);
});
