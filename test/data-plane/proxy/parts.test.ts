/** The pure parts of the proxy, and how it winds down. */

import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { codeOfHttpStatus, codeOfReset, percentEncode } from "../../../data-plane/proxy/answer.js";
import { drain } from "../../../data-plane/proxy/drain.js";
import type { AcceptedStream } from "../../../data-plane/proxy/forward/accepted-stream.js";
import { Forwarding, type ForwardPlan } from "../../../data-plane/proxy/forward/forward.js";
import type { UpstreamSlot } from "../../../data-plane/proxy/forward/upstream-session.js";
import { parseGrpcTimeoutMs, renderGrpcTimeout } from "../../../data-plane/proxy/grpc-timeout.js";
import { serviceOf } from "../../../data-plane/proxy/outbound.js";
import { parseRequestHead } from "../../../data-plane/proxy/request-head.js";
import { isTraceparent } from "../../../data-plane/proxy/traceparent.js";
import { systemClock } from "../../../runtime/clock.js";

const pseudo = [":method", "POST", ":scheme", "https", ":path", "/a.B/C", ":authority", "payments"];
const rest = ["content-type", "application/grpc+proto", "te", "trailers"];
const parse = (...raw: string[]) => parseRequestHead(raw, ["https"]);

describe("a request's head", () => {
  test("a good one keeps fields in order and says path, authority and timeout", () => {
    const result = parse(...pseudo, ...rest, "grpc-timeout", "5S", "x-b", "1", "x-a", "2", "x-b", "3");
    expect(result).toEqual({
      kind: "head",
      head: {
        path: "/a.B/C",
        method: "a.B/C",
        authority: "payments",
        timeoutMs: 5000,
        fields: [
          ["content-type", "application/grpc+proto"],
          ["x-b", "1"],
          ["x-a", "2"],
          ["x-b", "3"],
        ],
      },
    });
  });

  for (const [name, raw] of [
    ["a pseudo-header after a field", ["te", "trailers", ...pseudo, "content-type", "application/grpc"]],
    ["a repeated pseudo-header", [...pseudo, ":path", "/a.B/C", ...rest]],
    ["an unknown pseudo-header", [...pseudo, ":protocol", "x", ...rest]],
    ["no path", [":method", "POST", ":scheme", "https", ":authority", "payments", ...rest]],
    ["no authority", [":method", "POST", ":scheme", "https", ":path", "/a.B/C", ...rest]],
    ["an upper-case name", [...pseudo, ...rest, "X-A", "1"]],
    ["an empty name", [...pseudo, ...rest, "", "1"]],
    ["a line break in a value", [...pseudo, ...rest, "x-a", "1\r\nx-b: 2"]],
    ["a NUL in a value", [...pseudo, ...rest, "x-a", "1\0"]],
    ["a value that begins with a space", [...pseudo, ...rest, "x-a", " 1"]],
    ["a value that ends with a tab", [...pseudo, ...rest, "x-a", "1\t"]],
    ["connection", [...pseudo, ...rest, "connection", "close"]],
    ["transfer-encoding", [...pseudo, ...rest, "transfer-encoding", "chunked"]],
    ["te: gzip", [...pseudo, "content-type", "application/grpc", "te", "gzip"]],
    ["a content-length with a sign", [...pseudo, ...rest, "content-length", "+5"]],
    ["two content-lengths", [...pseudo, ...rest, "content-length", "5", "content-length", "5"]],
    ["two hosts", [...pseudo, ...rest, "host", "payments", "host", "payments"]],
    ["two content-types", [...pseudo, ...rest, "content-type", "application/grpc"]],
  ] as const) {
    test(`${name} is malformed`, () => expect(parse(...raw).kind).toBe("malformed"));
  }

  test("I5: whatever path is accepted is byte for byte /package.Service/Method", () => {
    const mutants = [
      "a.B/C",
      "//a.B/C",
      "/a.B//C",
      "/./C",
      "/a.B/C/",
      "/a.B/C.",
      "/a.B/*",
      "/a.B/C;x",
      "/a.B/C#",
      "/a\\B/C",
    ];
    for (const path of mutants) expect(parse(...pseudo.with(5, path), ...rest).kind).toBe("malformed");
    fc.assert(
      fc.property(fc.string({ maxLength: 20 }), (text) => {
        const result = parse(...pseudo.with(5, `/${text}`), ...rest);
        if (result.kind !== "head") return;
        expect(result.head.path).toBe(`/${text}`);
        expect(text).toMatch(/^[\w.]+\/\w+$/);
      }),
    );
  });

  test("a value outside ASCII is dropped, the others stay", () => {
    const result = parse(...pseudo, ...rest, "x-odd", "caf\u00e9", "x-even", "cafe");
    expect(result.kind === "head" && result.head.fields.map(([name]) => name)).toEqual(["content-type", "x-even"]);
  });

  test("129 fields, or more than 16 KiB, are too large", () => {
    const many = Array.from({ length: 125 }, () => ["x", "1"]).flat();
    expect(parse(...pseudo, ...rest, ...many).kind).toBe("too-large");
    expect(parse(...pseudo, ...rest, ...many.slice(0, 200)).kind).toBe("head");
    expect(parse(...pseudo, ...rest, "x", "1".repeat(16 * 1024)).kind).toBe("too-large");
  });
});

describe("small grammars", () => {
  for (const [text, ms] of [
    ["1H", 3_600_000],
    ["99999999n", 99.999999],
    ["100m", 100],
    ["123456789S", undefined],
    ["1", undefined],
    ["-1S", undefined],
    ["", undefined],
  ] as const) {
    test(`grpc-timeout ${JSON.stringify(text)} is ${ms} ms`, () => {
      const parsed = parseGrpcTimeoutMs(text);
      if (ms === undefined) expect(parsed).toBeUndefined();
      else expect(parsed).toBeCloseTo(ms, 6);
    });
  }

  test("a rendered timeout parses to the same time, never more, and loses less than a thousandth", () => {
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: 1e10, noNaN: true }), (ms) => {
        const back = parseGrpcTimeoutMs(renderGrpcTimeout(ms)) ?? Number.NaN;
        expect(back).toBeLessThanOrEqual(ms * (1 + 1e-9));
        expect(back).toBeGreaterThan(ms * 0.999 - 0.001);
      }),
    );
  });

  for (const [authority, service] of [
    ["payments", "payments"],
    ["payments:8080", "payments"],
    ["payments.shop.example", "payments"],
    ["payments.shop.example:1", "payments"],
    ["payments.other", undefined],
    [".shop.example", undefined],
    ["shop.example", undefined],
  ] as const) {
    test(`authority ${authority} means ${service}`, () => expect(serviceOf(authority, "shop.example")).toBe(service));
  }

  test("a status message is percent-encoded", () => {
    expect(percentEncode("100% ä\n")).toBe("100%25 %C3%A4%0A");
  });

  test("resets and HTTP statuses are mapped as gRPC says", () => {
    expect([0x0, 0x1, 0x2, 0x7, 0x8, 0xb, 0xc].map(codeOfReset)).toEqual([13, 13, 13, 14, 1, 8, 7]);
    expect([400, 401, 403, 404, 429, 431, 502, 503, 504, 500].map(codeOfHttpStatus)).toEqual([
      13, 16, 7, 12, 14, 13, 14, 14, 14, 2,
    ]);
    expect(status.UNAVAILABLE).toBe(14);
  });

  test("a traceparent of zeros, of version ff or of another length is none", () => {
    const good = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
    expect(isTraceparent(good)).toBe(true);
    for (const bad of [`ff${good.slice(2)}`, good.replaceAll("a", "0"), good.replaceAll("b", "0"), `${good}x`]) {
      expect(isTraceparent(bad)).toBe(false);
    }
  });
});

test("I10: a call that was answered while it waited for an upstream is not sent, and gives its room back", async () => {
  const accepted = { settled: true, ended: false, whenEnded: () => {}, onDrain: () => {} };
  const plan: ForwardPlan = {
    scheme: "http",
    path: "/a.B/C",
    authority: "payments",
    fields: [],
    remainingMs: () => undefined,
    revision: 1,
    peerProxy: false,
  };
  const seen: string[] = [];
  const slot: UpstreamSlot = {
    open: () => {
      seen.push("open");
      throw new Error("nothing may be sent");
    },
    release: () => void seen.push("release"),
  };
  expect(await new Forwarding(accepted as unknown as AcceptedStream, plan).send(slot)).toBe("done");
  expect(seen).toEqual(["release"]);
});

describe("winding down", () => {
  const options = { graceMs: 50, withdrawMs: 20, discourageMs: 1 };
  const never = new Promise<void>(() => {});
  const parts = (order: string[], withdraw: Promise<void>, finish: Promise<void>) => ({
    unready: () => void order.push("unready"),
    withdraw: () => {
      order.push("withdraw");
      return withdraw;
    },
    finish: () => {
      order.push("finish");
      return finish;
    },
    close: () => void order.push("close"),
  });

  test("peers are told before connections are asked to close", async () => {
    const order: string[] = [];
    expect(await drain(parts(order, Promise.resolve(), Promise.resolve()), systemClock, options)).toBe(true);
    expect(order).toEqual(["unready", "withdraw", "finish", "close"]);
  });

  test("I8: a broker that is away and a call that never ends hold it up for no longer than its bounds", async () => {
    const order: string[] = [];
    expect(await drain(parts(order, never, never), systemClock, options)).toBe(false);
    expect(order.at(-1)).toBe("close");
    expect(await drain(parts([], Promise.reject(new Error("gone")), Promise.resolve()), systemClock, options)).toBe(
      true,
    );
  });
});
