import { expect, test } from "@jest/globals";
import { EdgeLimiter } from "../../../data-plane/edge/edge-limits.js";

const once = { tokens: 1, periodMs: 60_000 };

test("the addresses of one IPv6 /64 share their limits, and those of another have their own", () => {
  const limiter = new EdgeLimiter();
  limiter.follow({ connectionsPerAddress: 2, callsPerAddress: once });
  expect(["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"].map((one) => limiter.opens(one, 0))).toEqual([
    true,
    true,
    false,
    true,
  ]);
  limiter.closed("2001:db8::2");
  expect(limiter.opens("2001:db8:0:0:ffff::9", 0)).toBe(true);
  expect([limiter.waitOfCall("2001:db8::1", 0), limiter.waitOfCall("2001:db8::2", 0) > 0]).toEqual([0, true]);
  expect(limiter.waitOfCall("2001:db8:0:1::1", 0)).toBe(0);
});

test("each IPv4 address has limits of its own", () => {
  const limiter = new EdgeLimiter();
  limiter.follow({ connectionsPerAddress: 1 });
  expect(["192.0.2.1", "192.0.2.1", "192.0.2.2"].map((one) => limiter.opens(one, 0))).toEqual([true, false, true]);
});

test("a token is one token, however its scheme, its spaces and its signature are written", () => {
  const limiter = new EdgeLimiter();
  limiter.follow({ callsPerToken: once });
  expect(limiter.waitOfToken("Bearer aaa.bbb.sig0", "192.0.2.1", 0)).toBe(0);
  for (const again of ["Bearer aaa.bbb.sig0", "bEARER aaa.bbb.sig0", "Bearer    aaa.bbb.sig0", "Bearer aaa.bbb.sig1"])
    expect(limiter.waitOfToken(again, "192.0.2.1", 0)).toBeGreaterThan(0);
  expect(limiter.waitOfToken("Bearer aaa.bbc.sig0", "192.0.2.1", 0)).toBe(0);
});

test("without a stated rate nobody waits", () => {
  const limiter = new EdgeLimiter();
  for (let call = 0; call < 3; call++)
    expect([limiter.waitOfCall("192.0.2.1", 0), limiter.waitOfToken("Bearer a.b.c", "192.0.2.1", 0)]).toEqual([0, 0]);
});
