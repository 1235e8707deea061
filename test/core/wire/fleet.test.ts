import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { digestOf } from "../../../core/digest.js";
import { isAshlarError } from "../../../core/errors.js";
import type { Endpoint, Heartbeat } from "../../../core/model.js";
import {
  encodeEndpoint,
  encodeHeartbeat,
  parseEndpoint,
  parseHeartbeat,
  readLeaving,
} from "../../../core/wire/fleet.js";

const writer = { service: "payments", proxyId: "p1" };
const endpoint: Endpoint = {
  ...writer,
  instance: "p1",
  version: "v1",
  address: "127.0.0.1:4000",
  labels: [{ key: "zone", value: "a" }],
  gone: false,
  timeMs: 5,
};
const heartbeat: Heartbeat = {
  ...writer,
  version: "v1",
  timeMs: 5,
  seenEpoch: 3,
  evaluatingEpoch: 2,
  evaluatingRevision: 2,
  evaluatingDigest: digestOf(Buffer.from("2")),
  prepared: [{ number: 2, digest: digestOf(Buffer.from("2")) }],
  rejected: { number: 3, digest: digestOf(Buffer.from("3")), reason: "unit payments: unknown field 9" },
  certificateExpiresMs: 99,
  freshnessAgeMs: 10,
  lagMs: 4,
  trustSequence: 1,
  serving: true,
  bypassable: ["app tcp 127.0.0.1:8080"],
  seenActivation: digestOf(Buffer.from("a")),
  leaving: false,
  calls: undefined,
  callsBefore: undefined,
  labels: [],
};

const ids = (count: number) => Array.from({ length: count }, (_, at) => `p${100 + at}`);
const unreached = (proxyId: string) => ({ proxyId, address: "10.0.0.1:1", why: "connect ECONNREFUSED" });

const none = { unreached: [], reached: [] };
const ejectedA = { proxyId: "a", why: "its last calls all failed" };

describe("endpoints and heartbeats", () => {
  test.each([
    ["ü".repeat(150), "ü".repeat(100)],
    [`a${"€".repeat(100)}`, `a${"€".repeat(66)}`],
    ["\u{1f600}".repeat(60), "\u{1f600}".repeat(50)],
    ["x".repeat(200), "x".repeat(200)],
  ])("what an application says of its health is cut to 200 bytes, in whole characters", (said, kept) => {
    expect(parseEndpoint(encodeEndpoint({ ...endpoint, unhealthy: said }), writer).unhealthy).toBe(kept);
  });

  test("whether a heartbeat's writer leaves is read without the rest, and damage is refused", () => {
    for (const leaving of [true, false]) expect(readLeaving(encodeHeartbeat({ ...heartbeat, leaving }))).toBe(leaving);
    const bytes = encodeHeartbeat({ ...heartbeat, leaving: true });
    const codes = Array.from(bytes, (_, length) => {
      try {
        return readLeaving(bytes.subarray(0, length));
      } catch (error) {
        return isAshlarError(error, "invalid_record");
      }
    });
    expect(codes.every((one) => typeof one === "boolean")).toBe(true);
    expect(() => readLeaving(new Uint8Array(64 * 1024 + 1))).toThrow("at most");
    expect(() => readLeaving(Buffer.from([0x07]))).toThrow("heartbeat");
  });

  test.each([
    ["too many that cannot be reached", { unreached: ids(17).map((proxyId) => unreached(proxyId)), reached: [] }],
    ["too many that can", { unreached: [], reached: ids(65) }],
    ["an instance twice", { unreached: [unreached("a"), unreached("a")], reached: [] }],
    ["an address that is none", { unreached: [{ ...unreached("a"), address: "a b" }], reached: [] }],
    ["an id that is none", { unreached: [], reached: ["a b"] }],
    ["a reason that moves the cursor", { unreached: [{ ...unreached("a"), why: "\u001b[2J" }], reached: [] }],
    ["too many ejected", { ...none, ejected: ids(17).map((proxyId) => ({ proxyId, why: "w" })) }],
    ["one ejected twice", { ...none, ejected: [ejectedA, ejectedA] }],
    ["an ejection without a reason", { ...none, ejected: [{ proxyId: "a", why: "" }] }],
    ["a reason that is a book", { unreached: [{ ...unreached("a"), why: "x".repeat(161) }], reached: [] }],
  ])("%s is refused, whoever signed it", (_what, reach) => {
    expect(() => parseHeartbeat(encodeHeartbeat({ ...heartbeat, reach }), writer)).toThrow("reach.");
  });

  test("come back as they were written", () => {
    expect(parseEndpoint(encodeEndpoint(endpoint), writer)).toEqual(endpoint);
    const told = { ...heartbeat, reach: { ...none, ejected: [ejectedA] }, workers: { wanted: 4, serving: 3 } };
    for (const one of [heartbeat, told]) expect(parseHeartbeat(encodeHeartbeat(one), writer)).toEqual(one);
    const reach = {
      unreached: [{ proxyId: "q1", address: "10.0.0.1:1", why: "connect ECONNREFUSED" }],
      reached: ["q2", "q3"],
    };
    expect(parseHeartbeat(encodeHeartbeat({ ...heartbeat, reach }), writer)).toEqual({ ...heartbeat, reach });
    const bare = {
      ...heartbeat,
      evaluatingDigest: undefined,
      rejected: undefined,
      seenActivation: undefined,
      prepared: [],
    };
    expect(parseHeartbeat(encodeHeartbeat(bare), writer)).toEqual(bare);
  });
  test("calls by method come back as they were written, and are bounded", () => {
    const one = { outbound: true, service: "cart", method: "shop.Cart/Add", calls: 3, refused: 1, failed: 1, took: [] };
    const counts = { calls: 3, refused: 1, failed: 1, took: [] };
    const inbound = [
      { ...one, outbound: false, caller: "front" },
      { ...one, outbound: false, caller: "*" },
    ];
    const by = { ...heartbeat, calls: { ...counts, methods: inbound } };
    expect(parseHeartbeat(encodeHeartbeat(by), writer)).toEqual(by);
    const told = { ...heartbeat, calls: { ...counts, methods: [one] }, callsBefore: { ...counts, methods: [] } };
    expect(parseHeartbeat(encodeHeartbeat(told), writer)).toEqual(told);
    const plain = { ...heartbeat, calls: counts };
    expect(parseHeartbeat(encodeHeartbeat(plain), writer)).toEqual(plain);
    for (const [methods, why] of [
      [Array.from({ length: 49 }, () => one), /methods has 49/],
      [[{ ...one, method: "x" }], /is not a method/],
      [[{ ...one, method: `a.A/${"x".repeat(200)}` }], /is not a method/],
      [[{ ...one, service: "NO" }], /label/],
      [[{ ...one, caller: "spiffe://x/y" }], /label/],
      [[{ ...one, refused: 4 }], /refused/],
    ] as const)
      expect(() => parseHeartbeat(encodeHeartbeat({ ...heartbeat, calls: { ...counts, methods } }), writer)).toThrow(
        why,
      );
    const most = Array.from({ length: 48 }, (_, at) => ({
      ...one,
      ...{
        caller: "c".repeat(63),
        service: "s".repeat(63),
        method: `a.A/${"x".repeat(190)}${at}`,
        took: Array.from({ length: 14 }, () => 3),
      },
    }));
    const full = { calls: 1e9, refused: 0, failed: 0, took: [], methods: most };
    expect(encodeHeartbeat({ ...heartbeat, calls: full, callsBefore: full }).length).toBeLessThan(45_000);
  });
  test("a body that disagrees with its subject is refused", () => {
    for (const other of [
      { ...writer, service: "orders" },
      { ...writer, proxyId: "p2" },
    ]) {
      expect(() => parseEndpoint(encodeEndpoint(endpoint), other)).toThrow(/not that of the proxy that said it/);
      expect(() => parseHeartbeat(encodeHeartbeat(heartbeat), other)).toThrow(/not that of the proxy that said it/);
    }
  });
  for (const address of ["", "nohost", ":80", "h:0", "h:65536", "h:99999", "a b:1", "http://x:1", "h:1/..", "h:01"]) {
    test(`an address ${JSON.stringify(address)} is refused`, () => {
      expect(() => parseEndpoint(encodeEndpoint({ ...endpoint, address }), writer)).toThrow(/address/);
    });
  }
  for (const address of ["h:1", "10.0.0.1:65535", "host.example:443", "[::1]:50051"]) {
    test(`an address ${JSON.stringify(address)} is accepted`, () => {
      expect(parseEndpoint(encodeEndpoint({ ...endpoint, address }), writer).address).toBe(address);
    });
  }
  test("a tombstone needs no address", () => {
    expect(parseEndpoint(encodeEndpoint({ ...endpoint, address: "", gone: true }), writer).gone).toBe(true);
  });
  test("I8: lists and texts are bounded", () => {
    const prepared = Array.from({ length: 17 }, (_, i) => ({ number: i + 1, digest: digestOf(Buffer.from("x")) }));
    expect(() => parseHeartbeat(encodeHeartbeat({ ...heartbeat, prepared }), writer)).toThrow(/prepared has 17/);
    const long = { ...heartbeat, bypassable: ["x".repeat(300)] };
    expect(() => parseHeartbeat(encodeHeartbeat(long), writer)).toThrow(/bypassable/);
    expect(() => parseEndpoint(new Uint8Array(65 * 1024), writer)).toThrow(/at most/);
  });
  test("durations are rounded, and never becomes the largest number", () => {
    const read = parseHeartbeat(encodeHeartbeat({ ...heartbeat, lagMs: 1.6, freshnessAgeMs: Infinity }), writer);
    expect([read.lagMs, read.freshnessAgeMs]).toEqual([2, Number.MAX_SAFE_INTEGER]);
  });
  test("I6: an unknown field is refused", () => {
    const bytes = Buffer.concat([encodeEndpoint(endpoint), Buffer.from([0xf8, 0x07, 0x01])]);
    expect(() => parseEndpoint(bytes, writer)).toThrow(/unknown field 127/);
  });
  test("arbitrary bytes are read or refused, never anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const read of [parseEndpoint, parseHeartbeat]) {
          try {
            read(bytes, writer);
          } catch (error) {
            expect(isAshlarError(error, "invalid_record")).toBe(true);
          }
        }
      }),
    );
  });
});

test("what a candidate would have done travels with a heartbeat, and one without it has the bytes it always had", () => {
  const shadow = {
    epoch: 2,
    digest: digestOf(Buffer.from("3")),
    same: 5,
    wouldDeny: 2,
    wouldAllow: 1,
    errors: 0,
    flips: [{ caller: "spiffe://m/service/a", method: "s.S/M", wouldDeny: 2, wouldAllow: 1 }],
  };
  expect(parseHeartbeat(encodeHeartbeat({ ...heartbeat, shadow }), writer)).toEqual({ ...heartbeat, shadow });
  expect(encodeHeartbeat({ ...heartbeat, shadow: undefined })).toEqual(encodeHeartbeat(heartbeat));
  const many = { ...shadow, flips: Array.from({ length: 21 }, () => shadow.flips).flat() };
  expect(() => parseHeartbeat(encodeHeartbeat({ ...heartbeat, shadow: many }), writer)).toThrow(/shadow.flips/);
});
