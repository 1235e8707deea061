import { expect, test } from "@jest/globals";
import { EdgeLimiter, lineOf } from "../../../data-plane/edge/edge-limits.js";

const once = { tokens: 1, periodMs: 60_000 };

test("the addresses of one IPv6 /64 share their limits, and those of another have their own", () => {
  const limiter = new EdgeLimiter();
  limiter.follow({ connectionsPerAddress: 2, callsPerAddress: once });
  expect(["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"].map((one) => limiter.opens(one, 0))).toEqual([
    ...[undefined, undefined, "address", undefined],
  ]);
  limiter.closed("2001:db8::2");
  expect(limiter.opens("2001:db8:0:0:ffff::9", 0)).toBeUndefined();
  expect([limiter.waitOfCall("2001:db8::1", 0), limiter.waitOfCall("2001:db8::2", 0) > 0]).toEqual([0, true]);
  expect(limiter.waitOfCall("2001:db8:0:1::1", 0)).toBe(0);
});

test("each IPv4 address has limits of its own", () => {
  const limiter = new EdgeLimiter();
  limiter.follow({ connectionsPerAddress: 1 });
  expect(["192.0.2.1", "192.0.2.1", "192.0.2.2"].map((one) => limiter.opens(one, 0))).toEqual([
    ...[undefined, "address", undefined],
  ]);
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

test("a listener has as many connections of all addresses as policy says, hops in front among them", () => {
  const limiter = new EdgeLimiter();
  limiter.follow({ connections: 2 });
  const open = (address: string | undefined) => limiter.opens(address, 0);
  expect([open("192.0.2.1"), open(undefined), open("192.0.2.2")]).toEqual([undefined, undefined, "listener"]);
  limiter.closed(undefined);
  expect([open("192.0.2.2"), open("192.0.2.3")]).toEqual([undefined, "listener"]);
  expect(limiter.opens("192.0.2.3", 0, 1)).toBeUndefined(); // somebody else counts them
});

test("connections of all addresses come no faster than policy says, and one address takes nothing of it in vain", () => {
  const limiter = new EdgeLimiter();
  limiter.follow({ handshakes: { tokens: 50, periodMs: 1000 }, connectionsPerAddress: 1 });
  for (let flood = 0; flood < 1000; flood++) limiter.opens("192.0.2.1", 0);
  const opened = Array.from({ length: 20 }, (_, index) => limiter.opens(`198.51.100.${index}`, 0));
  expect(opened.filter((away) => away === undefined).length).toBe(9); // a fifth of a second brings 10
  expect(limiter.opens("203.0.113.1", 20)).toBeUndefined();
});

test("where another process counts the listener's connections, those that come at once after a stall are let in", () => {
  const limiter = new EdgeLimiter(true);
  limiter.follow({ handshakes: { tokens: 50, periodMs: 1000 }, connections: 5, connectionsPerAddress: 1 });
  const opened = Array.from({ length: 20 }, (_, index) => limiter.opens(`198.51.100.${index}`, 0));
  expect(opened.filter((away) => away !== undefined)).toEqual([]);
  expect(limiter.opens("198.51.100.1", 0)).toBe("address");
});

test("a call may begin while its client owes no bytes, and ends once it owes more than a period brings", () => {
  const limiter = new EdgeLimiter();
  limiter.follow({ kibPerAddress: { tokens: 60, periodMs: 60_000 } });
  const take = limiter.meter("2001:db8::1", undefined);
  expect([take?.(61_440, 0), limiter.waitOfBytes("2001:db8::2", 0)]).toEqual([undefined, 0]);
  expect([take?.(61_440, 0), take?.(1, 0)]).toEqual([undefined, "kibPerAddress"]);
  expect([limiter.waitOfBytes("2001:db8::2", 0), limiter.waitOfBytes("192.0.2.1", 0)]).toEqual([60_001, 0]);
  expect(limiter.waitOfBytes("2001:db8::1", 60_001)).toBe(0);
});

test("bytes count for a token too, and k times at each of k workers", () => {
  const limiter = new EdgeLimiter();
  limiter.follow({ kibPerToken: { tokens: 1, periodMs: 1000 } });
  limiter.spread("192.0.2.1", 2);
  expect(limiter.meter("192.0.2.1", undefined)).toBeUndefined();
  const take = limiter.meter("192.0.2.1", "Bearer a.b.c");
  expect([take?.(1024, 0), take?.(1, 0)]).toEqual([undefined, "kibPerToken"]);
  expect([limiter.waitOfTokenBytes("Bearer a.b.other", 0), limiter.waitOfTokenBytes("Bearer a.c.c", 0)]).toEqual([
    1002, 0,
  ]);
});

test("a meter of a limit that policy has no more lets all pass", () => {
  const limiter = new EdgeLimiter();
  limiter.follow({ kibPerAddress: { tokens: 1, periodMs: 1000 } });
  const take = limiter.meter("192.0.2.1", undefined);
  limiter.follow(undefined);
  expect([take?.(1_000_000, 0), limiter.waitOfBytes("192.0.2.1", 0)]).toEqual([undefined, 0]);
});

test("clients wait in a line of their own: a certificate's, or that of an address and all others of its network", () => {
  expect(lineOf("spiffe://partner/till", "203.0.113.7")).toBe("spiffe://partner/till");
  expect(lineOf(undefined, "203.0.113.7")).toBe("203.0.113.7");
  expect(lineOf(undefined, "2001:db8:1:2:3::4")).toBe(lineOf(undefined, "2001:db8:1:2::9"));
  expect(lineOf(undefined, "2001:db8:1:3::4")).not.toBe(lineOf(undefined, "2001:db8:1:2::9"));
});
