/** What top and tap print: figures that agree, names that cannot steer a terminal, lines that fit, and q that leaves. */
import { EventEmitter } from "node:events";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { renderCall, renderTraffic } from "../../cli/look-output.js";
import { openTerminal } from "../../cli/terminal.js";
import { untilLeft } from "../../cli/until-left.js";
import { TappedCall, TrafficPair, WatchTrafficResponse } from "../../proto/gen/ashlar/v1/look.js";
import { type FakeAdmin, startFakeAdmin, timeMs } from "./fake-admin.js";

const hostile = "\x1b[2Jpay\u202ements\x9b31m\n<script>";
const pair = (fields: Partial<TrafficPair> = {}): TrafficPair =>
  TrafficPair.fromPartial({
    caller: "checkout",
    service: "payments",
    method: "shop.Payments/Charge",
    version: "v1",
    calls: 100,
    refused: 1,
    failed: 2,
    p50Ms: 0.421,
    p99Ms: 1234,
    codes: [0, 97, 7, 1, 14, 2],
    ...fields,
  });
const view = (fields: Partial<WatchTrafficResponse> = {}): WatchTrafficResponse =>
  WatchTrafficResponse.fromPartial({
    timeMs,
    windowMs: 10_000,
    pairs: [pair()],
    proxies: 3,
    answering: 2,
    silent: ["p-3"],
    ...fields,
  });
const call = (fields: Partial<TappedCall> = {}): TappedCall =>
  TappedCall.fromPartial({
    timeMs,
    caller: "checkout",
    service: "payments",
    method: "shop.Payments/Charge",
    version: "v1",
    code: 7,
    reason: "denied",
    tookMs: 0.4,
    revision: 3,
    decision: "0123456789abcdef01234567",
    attempts: 2,
    ...fields,
  });

let admin: FakeAdmin;
beforeAll(async () => {
  admin = await startFakeAdmin();
});
afterAll(() => admin.stop());
beforeEach(() => {
  admin.answers = {};
  admin.requests.length = 0;
});

describe("top", () => {
  test("--once -o json has each pair with its figures, and which proxies do not tell", async () => {
    admin.answers = { watchTraffic: [view({ windowMs: 1000 }), view()] };
    const done = await admin.run("top", "--once", "-o", "json");
    expect([done.code, done.error]).toEqual([0, ""]);
    expect(JSON.parse(done.out)).toEqual({
      time: "2026-01-02T03:04:05.000Z",
      windowMs: 10_000,
      pairs: [
        {
          caller: "checkout",
          service: "payments",
          method: "shop.Payments/Charge",
          version: "v1",
          calls: 100,
          perSecond: 10,
          success: 0.97,
          refused: 1,
          failed: 2,
          p50Ms: 0.421,
          p99Ms: 1234,
          codes: { OK: 97, PERMISSION_DENIED: 1, UNAVAILABLE: 2 },
          toldBy: "caller",
        },
      ],
      leftOff: 0,
      proxies: { live: 3, answering: 2, silent: ["p-3"] },
    });
  });

  test("in a pipe each view is printed, with -o json a line each", async () => {
    admin.answers = { watchTraffic: [view(), view()] };
    expect((await admin.run("top", "-o", "json")).out.trim().split("\n")).toHaveLength(2);
    expect((await admin.run("top")).out).toContain("checkout  payments@v1  shop.Payments/Charge");
  });

  test("lines fit the terminal, and names give way to figures", () => {
    for (const columns of [40, 60, 80, 200])
      for (const line of renderTraffic(view({ pairs: [pair({ method: "a".repeat(300) })] }), columns, false).slice(
        1,
        3,
      ))
        expect([columns, line.length < Math.max(columns, 90)]).toEqual([columns, true]);
    const [, , row] = renderTraffic(view(), 90, false);
    expect(row).toContain("97.0 %");
  });
});

describe("tap", () => {
  test("-o json is a line a call, and what was too much is said on stderr", async () => {
    const calls = [call(), call({ code: 0, reason: "", decision: "", attempts: 1 })];
    admin.answers = {
      tapCalls: [
        { calls: [], proxyId: "", dropped: 0 },
        { calls, proxyId: "p-1", dropped: 7 },
      ],
    };
    const done = await admin.run("tap", "--service", "payments", "--refused", "--slow", "100ms", "-o", "json");
    const [refused, good] = done.out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(refused).toEqual({
      time: "2026-01-02T03:04:05.000Z",
      caller: "checkout",
      service: "payments",
      method: "shop.Payments/Charge",
      version: "v1",
      code: "PERMISSION_DENIED",
      tookMs: 0.4,
      revision: 3,
      decision: "0123456789abcdef01234567",
      attempts: 2,
      reason: "denied",
      direction: "inbound",
      proxy: "p-1",
    });
    expect(good).not.toHaveProperty("decision");
    expect(done.error).toContain("7 calls more");
    const filter = { service: "payments", caller: "", method: "", refused: true, slowMs: 100 };
    expect(admin.requests.find(({ method }) => method === "tapCalls")?.request).toMatchObject({ filter });
  });

  test("--count ends it", async () => {
    admin.answers = { tapCalls: [{ calls: [call(), call(), call()], proxyId: "p-1", dropped: 0 }] };
    expect((await admin.run("tap", "--count", "2")).out.trim().split("\n")).toHaveLength(2);
  });
});

describe("names that others chose", () => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be printed
  const obeyed = /[\u0000-\u001f\u007f-\u009f\u202e]/;
  test("are printed as escapes in tables", () => {
    const lines = [
      ...renderTraffic(view({ pairs: [pair({ method: hostile, caller: hostile })] }), 200, false),
      renderCall(call({ method: hostile, caller: hostile, decision: hostile }), 300, false),
    ];
    for (const line of lines) expect(line).not.toMatch(obeyed);
    expect(lines.join()).toContain("\\u001b[2Jpay\\u202ements\\u009b31m\\u000a<script>");
  });
  test("are escapes in JSON, too, and the same text when it is parsed", async () => {
    admin.answers = { tapCalls: [{ calls: [call({ method: hostile })], proxyId: "p-1", dropped: 0 }] };
    const { out } = await admin.run("tap", "--count", "1", "-o", "json");
    expect(out.trim()).not.toMatch(obeyed);
    expect(JSON.parse(out).method).toBe(hostile);
  });
});

describe("a terminal", () => {
  class Keys extends EventEmitter {
    readonly modes: boolean[] = [];
    setRawMode(on: boolean): void {
      this.modes.push(on);
    }
    resume(): void {}
    pause(): void {}
  }
  class Screen extends EventEmitter {
    columns = 80;
    rows = 24;
    text = "";
    write(text: string): void {
      this.text += text;
    }
  }
  for (const [name, key] of [
    ["q", "q"],
    ["Ctrl-C", "\x03"],
  ])
    test(`is left by ${name}, and gets its screen and its keys back`, async () => {
      const [keys, screen] = [new Keys(), new Screen()];
      const terminal = openTerminal(keys, screen, true);
      async function* never() {
        yield 1;
        await new Promise(() => {});
      }
      const seen: number[] = [];
      for await (const item of untilLeft(never(), terminal.left)) {
        seen.push(item);
        terminal.draw(["a", "b"]);
        keys.emit("data", Buffer.from(key ?? ""));
      }
      terminal.close();
      expect([seen, keys.modes, keys.listenerCount("data")]).toEqual([[1], [true, false], 0]);
      expect(screen.text.endsWith("\x1b[?25h\x1b[?1049l")).toBe(true);
    });

  test("tells when it has another size, and lines that it has no room for are not drawn", () => {
    const [keys, screen] = [new Keys(), new Screen()];
    const terminal = openTerminal(keys, screen, false);
    const sizes: number[] = [];
    terminal.onResize(() => sizes.push(terminal.rows));
    screen.rows = 3;
    screen.emit("resize");
    terminal.draw(["one", "two", "three", "four"]);
    terminal.close();
    expect([sizes, screen.text.includes("two"), screen.text.includes("three")]).toEqual([[3], true, false]);
  });
});
