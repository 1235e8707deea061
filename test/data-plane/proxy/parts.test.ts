/** The pure parts of the proxy, and how it winds down. */

import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { buildSpiffeId } from "../../../core/identity.js";
import { FieldBlock } from "../../../data-plane/http2/field-block.js";
import { MemoryBudget } from "../../../data-plane/http2/memory-budget.js";
import type { Stream } from "../../../data-plane/http2/stream.js";
import { FieldCheck } from "../../../data-plane/http2/validate-fields.js";
import { codeOfHttpStatus, codeOfReset, percentEncode } from "../../../data-plane/proxy/answer.js";
import { serviceOf } from "../../../data-plane/proxy/called-services.js";
import { drain } from "../../../data-plane/proxy/drain.js";
import { Call } from "../../../data-plane/proxy/forward/call.js";
import type { CallOwner } from "../../../data-plane/proxy/forward/call-owner.js";
import { DeadlineWheel, type Timed } from "../../../data-plane/proxy/forward/deadline-wheel.js";
import { KeptFields } from "../../../data-plane/proxy/forward/kept-fields.js";
import { inboundLimits } from "../../../data-plane/proxy/forward/listener-limits.js";
import { SeldomLog } from "../../../data-plane/proxy/forward/seldom-log.js";
import type { UpstreamSession } from "../../../data-plane/proxy/forward/upstream-session.js";
import { renderGrpcTimeout } from "../../../data-plane/proxy/grpc-timeout.js";
import { RequestHead } from "../../../data-plane/proxy/request-head.js";
import { isTraceparentAt } from "../../../data-plane/proxy/traceparent.js";
import { systemClock } from "../../../runtime/clock.js";
import { silentLogger } from "../../../runtime/log.js";
import { until } from "../../support/until.js";

const isTraceparent = (text: string): boolean => isTraceparentAt(Buffer.from(text, "latin1"), 0, text.length);

const rethrow = (error: unknown): void => {
  throw error;
};

const pseudo = [":method", "POST", ":scheme", "https", ":path", "/a.B/C", ":authority", "payments"];
const rest = ["content-type", "application/grpc+proto", "te", "trailers"];

/** Reads it as the engine and then the proxy do. */
function parse(...raw: string[]) {
  const fields = new FieldBlock();
  for (let index = 0; index < raw.length; index += 2) fields.add(raw[index] ?? "", raw[index + 1] ?? "");
  const head = new RequestHead();
  const isGood = new FieldCheck().request(fields, inboundLimits.engine.requestRules) === 0 && head.read(fields);
  return { kind: isGood ? "head" : "malformed", head, fields };
}

function listOf(fields: FieldBlock): (readonly [string, string])[] {
  const list: (readonly [string, string])[] = [];
  for (let field = 0; field < fields.count; field++)
    if (!fields.isDropped(field)) list.push([fields.nameText(field), fields.valueText(field)]);
  return list;
}

describe("a request's head", () => {
  test("a good one keeps fields in order and says path, authority and timeout", () => {
    const result = parse(...pseudo, ...rest, "grpc-timeout", "5S", "x-b", "1", "x-a", "2", "x-b", "3");
    expect(result.kind).toBe("head");
    expect(result.head.timeoutMs).toBe(5000);
    expect(result.head.authorityText(result.fields)).toBe("payments");
    expect(listOf(result.fields)).toEqual([
      [":method", "POST"],
      [":path", "/a.B/C"],
      [":authority", "payments"],
      ["content-type", "application/grpc+proto"],
      ["te", "trailers"],
      ["grpc-timeout", "5S"],
      ["x-b", "1"],
      ["x-a", "2"],
      ["x-b", "3"],
    ]);
  });

  test("what is kept for later is the same, but for the time", () => {
    const { fields } = parse(...pseudo, ...rest, "grpc-timeout", "5S", "x-b", "1", "ashlar-caller", "me");
    const before = listOf(fields);
    expect(listOf(KeptFields.of(fields).restore())).toEqual(before.filter(([name]) => name !== "grpc-timeout"));
  });

  test("a peer's epoch is read and removed; only digits count", () => {
    expect(parse(...pseudo, ...rest, "ashlar-epoch", "42").head.epoch).toBe(42);
    for (const text of ["", "x", "-1", "1".repeat(16)]) {
      const { head, fields } = parse(...pseudo, ...rest, "ashlar-epoch", text);
      expect([head.epoch, listOf(fields).some(([name]) => name === "ashlar-epoch")]).toEqual([-1, false]);
    }
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
    ["a path that begins with a space", [...pseudo.map((text) => (text.startsWith("/") ? ` ${text}` : text)), ...rest]],
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
        expect(result.fields.valueText(result.head.path)).toBe(`/${text}`);
        expect(text).toMatch(/^[\w.]+\/\w+$/);
      }),
    );
  });

  test("a value outside ASCII is dropped, the others stay", () => {
    const result = parse(...pseudo, ...rest, "x-odd", "caf\u00e9", "x-even", "cafe");
    const names = listOf(result.fields).map(([name]) => name);
    expect([result.kind, names.slice(3)]).toEqual(["head", ["content-type", "te", "x-even"]]);
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
      const { kind, head } = parse(...pseudo, ...rest, "grpc-timeout", text);
      if (ms === undefined) expect(kind).toBe("malformed");
      else expect(head.timeoutMs).toBeCloseTo(ms, 6);
    });
  }

  test("a rendered timeout parses to the same time, never more, and loses less than a thousandth", () => {
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: 1e10, noNaN: true }), (ms) => {
        const back = parse(...pseudo, ...rest, "grpc-timeout", renderGrpcTimeout(ms)).head.timeoutMs;
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

  test("a traceparent of a later version is read by its first four fields", () => {
    const later = `01-${"a".repeat(32)}-${"b".repeat(16)}-01`;
    for (const good of [later, `${later}-`, `${later}-what-follows`, `cc${later.slice(2)}`])
      expect(isTraceparent(good)).toBe(true);
    const odd = [`${later}x`, `${later}x-`, later.slice(0, -1), `${later}-${"x".repeat(600)}`];
    const first = [`00${later.slice(2)}-more`, `0${later.slice(0, -1)}`, `ff${later.slice(2)}-more`];
    for (const bad of [...odd, ...first]) expect(isTraceparent(bad)).toBe(false);
  });

  test("a traceparent of zeros, of version ff or of another length is none", () => {
    const good = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
    expect(isTraceparent(good)).toBe(true);
    for (const bad of [`ff${good.slice(2)}`, good.replaceAll("a", "0"), good.replaceAll("b", "0"), `${good}x`]) {
      expect(isTraceparent(bad)).toBe(false);
    }
  });
});

test("I10: a call that was answered while it waited for an upstream is not sent", () => {
  const sent: string[] = [];
  const inbound = { sending: 0, closed: false, sendFields: () => void sent.push("answer"), reset: () => {} };
  Object.assign(inbound, { connection: { budget: new MemoryBudget() } });
  const owner: CallOwner<Call> = {
    direction: "inbound",
    fromPeer: false,
    isForClients: false,
    labels: new Map(),
    nowMs: () => 0,
    ...{
      watch: () => {},
      unwatch: () => {},
      sendAgain: () => {},
      mayGoElsewhere: () => false,
      carry: () => {},
      attemptEnded: () => {},
      oversized: new SeldomLog(silentLogger),
      ended: () => {},
    },
  };
  const call = new Call(
    owner,
    inbound as unknown as Stream,
    "a",
    "a.B/C",
    buildSpiffeId("test", "service", "a"),
    true,
    0,
  );
  call.plan = { first: [], last: [], revision: 1 };
  call.answer({ code: status.PERMISSION_DENIED, message: "", revision: 1, decision: "d", reason: "denied" });
  const session = { connection: { open: () => void sent.push("open") } } as unknown as UpstreamSession;
  expect(call.send(session, null)).toBe(true);
  expect(sent).toEqual(["answer"]);
});

describe("the wheel of deadlines", () => {
  class Due implements Timed {
    dueMs = 0;
    wheelSlot = -1;
    wheelNext: Timed | null = null;
    wheelBefore: Timed | null = null;
    atMs = 0;
    onDue(): void {
      this.atMs = performance.now();
    }
  }

  test("what waits is called once, never early, far more than a turn of it included; what is removed is not", async () => {
    const wheel = new DeadlineWheel(() => performance.now(), rethrow);
    const startMs = performance.now();
    const all = [0, 1, 15, 40, 41, 90, 120].map((delayMs) => ({ due: new Due(), atMs: startMs + delayMs }));
    const removed = new Due();
    const far = new Due();
    for (const { due, atMs } of all) wheel.add(due, atMs);
    wheel.add(removed, startMs + 20);
    wheel.add(far, startMs + 5120 + 40); // the slot of one that is due
    wheel.remove(removed);
    await until("all were called", () => all.every(({ due }) => due.atMs > 0));
    for (const { due, atMs } of all) expect(due.atMs).toBeGreaterThanOrEqual(atMs);
    expect([removed.atMs, far.atMs, wheel.size]).toEqual([0, 0, 1]);
    wheel.remove(far);
  });
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
