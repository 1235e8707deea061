import { describe, expect, test } from "@jest/globals";
import type { Limit, LimitKeyPart, RateLimit } from "../../../core/kinds/rate-limit/rate-limit.js";
import { compileKey, type LimitedCall } from "../../../core/limit/limit-key.js";
import { Limiter, waitMsMax } from "../../../core/limit/limiter.js";
import type { ValueMap } from "../../../core/policy/condition/values.js";

function limit(over: Partial<Limit>): Limit {
  const base = { per: [], methods: [], rate: { tokens: 10, periodMs: 1000 }, burst: 10, costs: [] };
  return { ...base, scope: "proxy", disconnected: undefined, ...over };
}

function rateLimit(name: string, ...limits: Limit[]): RateLimit {
  return { kind: "RateLimit", name, service: "s", limits };
}

function call(over: {
  caller?: string;
  method?: string;
  headers?: Record<string, string>;
  claims?: ValueMap;
}): LimitedCall {
  const { caller = "spiffe://demo/service/a", method = "p.P/A", headers = {}, claims } = over;
  return {
    caller,
    method,
    inputs: { header: (name) => headers[name], claims },
  };
}

/** How many of `count` calls pass. */
function passing(limiter: Limiter, one: LimitedCall, count: number, nowMs = 0): number {
  return Array.from({ length: count }, () => limiter.check(one, nowMs)).filter((each) => each === undefined).length;
}

describe("limits", () => {
  test("each value of the key has a budget of its own", () => {
    const limiter = new Limiter();
    limiter.adopt([rateLimit("per-caller", limit({ per: ["caller"] }))]);
    expect(passing(limiter, call({ caller: "spiffe://demo/service/a" }), 20)).toBe(10);
    expect(passing(limiter, call({ caller: "spiffe://demo/service/b" }), 20)).toBe(10);
    expect(limiter.check(call({}), 0)).toEqual({ limit: "per-caller/limits[0]", waitMs: 100 });
  });

  test("of limits by caller and for the service all have to let a call pass, and one that does not charges none", () => {
    const limiter = new Limiter();
    limiter.adopt([
      rateLimit("a", limit({ burst: 100, rate: { tokens: 1, periodMs: 1000 } })),
      rateLimit("b", limit({ per: ["caller"], burst: 5, rate: { tokens: 1, periodMs: 1000 } })),
    ]);
    expect(passing(limiter, call({ caller: "x" }), 1000)).toBe(5);
    expect(passing(limiter, call({ caller: "y" }), 1000)).toBe(5); // the calls of x that were refused cost nothing
    for (let i = 0; i < 18; i += 1) expect(passing(limiter, call({ caller: `c${i}` }), 7)).toBe(5);
    expect(limiter.check(call({ caller: "late" }), 0)?.limit).toBe("a/limits[0]");
  });

  test.each<[string, string[], string, boolean]>([
    ["all, where none is named", [], "p.P/A", true],
    ["all", ["*"], "p.P/A", true],
    ["a service", ["p.P/*"], "p.P/A", true],
    ["another service", ["p.Q/*"], "p.P/A", false],
    ["the method", ["p.P/A"], "p.P/A", true],
    ["another method", ["p.P/B"], "p.P/A", false],
  ])("methods: %s", (_what, methods, method, isLimited) => {
    const limiter = new Limiter();
    limiter.adopt([rateLimit("a", limit({ methods, burst: 1 }))]);
    expect(passing(limiter, call({ method }), 5)).toBe(isLimited ? 1 : 5);
  });

  test("the nearest cost counts, and a free method is free", () => {
    const costs = [
      { method: "*", cost: 2 },
      { method: "p.P/*", cost: 5 },
      { method: "p.P/Free", cost: 0 },
    ];
    const limiter = new Limiter();
    limiter.adopt([rateLimit("a", limit({ costs, burst: 12 }))]);
    expect(passing(limiter, call({ method: "p.P/A" }), 1)).toBe(1);
    expect(passing(limiter, call({ method: "p.Q/A" }), 9)).toBe(3); // 12 - 5 = 3 x 2 + 1
    expect(passing(limiter, call({ method: "p.P/Free" }), 50)).toBe(50);
  });

  test("a policy switch refills nobody; another definition, or another object, starts anew", () => {
    const limiter = new Limiter();
    const perCaller = limit({ per: ["caller"] });
    limiter.adopt([rateLimit("a", perCaller)]);
    expect(passing(limiter, call({}), 20)).toBe(10);
    limiter.adopt([
      rateLimit("z", limit({ burst: 1000, rate: { tokens: 1000, periodMs: 1000 } })),
      rateLimit("a", { ...perCaller }),
    ]);
    expect(passing(limiter, call({}), 20)).toBe(0);
    limiter.adopt([rateLimit("a", { ...perCaller, burst: 11 })]);
    expect(passing(limiter, call({}), 20)).toBe(11);
    limiter.adopt([]);
    expect(passing(limiter, call({}), 50)).toBe(50);
  });

  test("the same limit twice is two budgets, so a call has to pass both", () => {
    const limiter = new Limiter();
    const one = limit({});
    limiter.adopt([rateLimit("a", one, one)]);
    expect(passing(limiter, call({}), 20)).toBe(10);
  });

  test("nobody is told to wait longer than a minute, or no time at all", () => {
    const limiter = new Limiter();
    limiter.adopt([rateLimit("a", limit({ rate: { tokens: 1, periodMs: 3_600_000 }, burst: 1 }))]);
    expect(passing(limiter, call({}), 1)).toBe(1);
    expect(limiter.check(call({}), 0)?.waitMs).toBe(waitMsMax);
    expect(limiter.check(call({}), 3_599_990)?.waitMs).toBeLessThan(20);
    expect(limiter.check(call({}), 3_600_000)).toBeUndefined();
  });
});

describe("keys", () => {
  const keyOf = (per: LimitKeyPart[], over: Parameters<typeof call>[0]): string => compileKey(per)(call(over));
  const header = (headers: Record<string, string>): string => keyOf(["header:x-a"], { headers });
  const claims = (...entries: [string, string | bigint | boolean | null | string[]][]): ValueMap => new Map(entries);

  test("a missing header is a key of its own, whatever texts others send", () => {
    const missing = header({});
    for (const value of ["", "absent", "\0", "\0\0", "\0#"]) expect(header({ "x-a": value })).not.toBe(missing);
    expect(header({ "x-a": "\0" })).not.toBe(header({ "x-a": "\0\0" }));
  });

  test("parts cannot flow into each other", () => {
    const two = (a: string, b: string) => keyOf(["header:x-a", "header:x-b"], { headers: { "x-a": a, "x-b": b } });
    expect(two("a", "bc")).not.toBe(two("ab", "c"));
    expect(two("1:a", "")).not.toBe(two("", "1:a"));
    expect(two("a", "b")).toBe(two("a", "b"));
  });

  test("I8: a long value stands there by its digest", () => {
    const long = "v".repeat(10_000);
    expect(header({ "x-a": long }).length).toBeLessThan(64);
    expect(header({ "x-a": long })).not.toBe(header({ "x-a": `${long}w` }));
  });

  test("claims: texts, numbers and truth as they are written, lists joined, others absent", () => {
    const claim = (value: Parameters<typeof claims>[0][1]) => keyOf(["claim:t"], { claims: claims(["t", value]) });
    expect(claim("x")).toBe("x");
    expect(claim(7n)).toBe("7");
    expect(claim(["a", "b"])).toBe("a,b");
    expect(claim(null)).toBe(keyOf(["claim:t"], {}));
  });
});
