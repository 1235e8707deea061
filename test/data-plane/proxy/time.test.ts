/**
 * Time on each leg of a call: client, caller's proxy, destination's proxy, application. The proxies' clocks are set by hand, so
 * nothing here waits for time to pass, and what is due while both stand still needs no timer.
 */
import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { join } from "node:path";
import { Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { RouteRule } from "../../../core/model.js";
import type { CallGate } from "../../../data-plane/proxy/call-side.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair, type TestSide } from "../../support/proxy-pair.js";

/** A call as the application got it. */
interface Served {
  readonly stream: ServerHttp2Stream;
  /** What remains of its time, as it was told; undefined: it was told nothing. */
  readonly leftMs: number | undefined;
  bytes: number;
}

const cancel = 8;
const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

let pair: ProxyPair;
let server: Http2Server;
let served: Served[];
let onCall: (one: Served) => void;

beforeEach(async () => {
  served = [];
  onCall = () => {};
  pair = await ProxyPair.start({});
  server = createServer();
  server.on("stream", (stream, head) => {
    const one: Served = { stream, leftMs: leftMsOf(head), bytes: 0 };
    stream
      .on("error", () => {})
      .on("data", (bytes: Buffer) => {
        one.bytes += bytes.length;
      });
    served.push(one);
    onCall(one);
  });
  const path = join(pair.dir, "own.sock");
  await new Promise<void>((resolve) => server.listen(path, resolve));
  pair.callee.app.set({ instance: "own", target: { path } });
});
afterEach(() => {
  expect([pair.caller.faults, pair.callee.faults]).toEqual([[], []]);
  pair.stop();
  server.close();
});

function leftMsOf(head: IncomingHttpHeaders): number | undefined {
  const [, digits, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(String(head["grpc-timeout"] ?? "")) ?? [];
  return digits === undefined ? undefined : Number(digits) * (unitMs[unit] ?? Number.NaN);
}

function answer({ stream }: Served): void {
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(Buffer.alloc(5));
}

let revision = 10;
function follow(rule: Partial<RouteRule>): void {
  const rules = [{ match: undefined, split: [], timeoutMs: 0, ...rule }];
  pair.caller.policy.switchTo(buildPolicy(++revision, [{ service: "bytes", allow: [everyone], rules }]));
}

/** Stops a proxy's clock. Returns what sets it ahead. */
function stopClock(side: TestSide): (ms: number) => void {
  let nowMs = side.nowMs();
  side.nowMs = () => nowMs;
  return (ms) => {
    nowMs += ms;
  };
}

function call(deadlineMs?: number) {
  const options = deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
  return pair.client().unary(Buffer.from("hello"), new Metadata(), options);
}

const arrived = (count: number): Promise<void> => eventually(`${count} are there`, () => served.length === count);
const wasReset = (index: number): Promise<void> =>
  eventually("the application's stream was reset", () => served[index]?.stream.closed === true);

/** Holds calls back until it is opened. */
class Held implements CallGate {
  readonly opened: Promise<undefined>;
  open: () => void = () => {};

  constructor() {
    this.opened = new Promise((resolve) => {
      this.open = () => resolve(undefined);
    });
  }

  leave(): void {}
}

describe("what remains", () => {
  test("the application is told the caller's deadline, less what has passed; nothing where there is none", async () => {
    onCall = answer;
    await call(50_000);
    expect(served[0]?.leftMs).toBeGreaterThan(0);
    expect(served[0]?.leftMs).toBeLessThanOrEqual(50_000);
    await call();
    expect(served[1]?.leftMs).toBeUndefined();
  });

  for (const name of ["caller", "callee"] as const) {
    test(`less what a call waited in the ${name}'s proxy`, async () => {
      onCall = answer;
      const ahead = stopClock(pair[name]);
      const held: Held[] = [];
      pair[name].gate = () => {
        const gate = new Held();
        held.push(gate);
        return gate;
      };
      const result = call(50_000);
      await eventually("it is held", () => held.length === 1);
      ahead(20_000);
      held[0]?.open();
      expect((await result).error).toBeUndefined();
      expect(served[0]?.leftMs).toBeGreaterThan(0);
      expect(served[0]?.leftMs).toBeLessThanOrEqual(30_000);
    });
  }

  test.each([
    ["caps a longer deadline", 50_000, 9000, 9000],
    ["leaves a shorter one alone", 8000, 9000, 8000],
    ["is the deadline where there is none", undefined, 9000, 9000],
  ] as const)("a route's timeout %s", async (_name, deadlineMs, timeoutMs, most) => {
    onCall = answer;
    follow({ timeoutMs });
    await call(deadlineMs);
    expect(served[0]?.leftMs).toBeGreaterThan(0);
    expect(served[0]?.leftMs).toBeLessThanOrEqual(most);
  });

  test("a further try is told what is left for it", async () => {
    const ahead = stopClock(pair.caller);
    follow({
      timeoutMs: 50_000,
      retry: { attempts: 2, on: ["UNAVAILABLE"], backoffMs: 1, maxBackoffMs: 1, perTryTimeoutMs: 0 },
    });
    onCall = (one) => {
      if (served.length > 1) return answer(one);
      ahead(20_000);
      one.stream.respond(
        { ":status": 200, "content-type": "application/grpc", "grpc-status": "14" },
        { endStream: true },
      );
    };
    const result = call();
    await eventually("the second is there", () => {
      ahead(1); // so that the wait before it is over
      return served.length === 2;
    });
    expect((await result).error).toBeUndefined();
    expect(served[1]?.leftMs).toBeLessThanOrEqual(30_000);
  });
});

describe("when time is over", () => {
  for (const name of ["caller", "callee"] as const) {
    test(`by the clock of the ${name}'s proxy, the caller gets 4 and the application a reset`, async () => {
      const ahead = stopClock(pair[name]);
      const result = call(50_000);
      await arrived(1);
      ahead(50_001);
      expect((await result).error?.code).toBe(status.DEADLINE_EXCEEDED);
      await wasReset(0);
      expect(served[0]?.stream.rstCode).toBe(cancel);
      for (const side of [pair.caller, pair.callee]) await eventually("it ended", () => side.metrics.open === 0);
    });
  }

  test("of a stream that was answered in part, its trailers say 4", async () => {
    const ahead = stopClock(pair.caller);
    follow({ timeoutMs: 50_000 });
    onCall = ({ stream }) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.write(Buffer.alloc(5));
    };
    const stream = pair.client().bidi();
    const ended = new Promise<status>((resolve) => stream.on("status", ({ code }) => resolve(code)));
    await new Promise((resolve) => stream.on("error", () => {}).once("data", resolve));
    ahead(50_001);
    expect(await ended).toBe(status.DEADLINE_EXCEEDED);
    await wasReset(0);
    expect(served[0]?.stream.rstCode).toBe(cancel);
  });

  test("of one try, the next begins and the first is reset", async () => {
    const ahead = stopClock(pair.caller);
    const retry = { attempts: 2, on: ["DEADLINE_EXCEEDED"], backoffMs: 1, maxBackoffMs: 1, perTryTimeoutMs: 20_000 };
    follow({ timeoutMs: 50_000, retry });
    const result = call();
    await arrived(1);
    ahead(20_001);
    await wasReset(0);
    onCall = answer;
    await eventually("the second is there", () => {
      ahead(1);
      return served.length === 2;
    });
    expect((await result).error).toBeUndefined();
    expect(served[0]?.stream.rstCode).toBe(cancel);
  });

  test("before anything was sent, the application sees nothing", async () => {
    const ahead = stopClock(pair.caller);
    pair.caller.gate = () => new Held();
    const result = call(50_000);
    await eventually("it is held", () => pair.caller.metrics.open === 1);
    ahead(50_001);
    expect((await result).error?.code).toBe(status.DEADLINE_EXCEEDED);
    expect(served).toEqual([]);
  });
});

test.each([
  ["as the deadline passes is told as that", 20, status.DEADLINE_EXCEEDED],
  ["long before the deadline is told as a cancellation", 5000, status.CANCELLED],
] as const)("an application's reset with CANCEL %s", async (_name, leftMs, code) => {
  const ahead = stopClock(pair.callee);
  stopClock(pair.caller);
  const result = call(50_000);
  await arrived(1);
  ahead((served[0]?.leftMs ?? 0) - leftMs);
  served[0]?.stream.close(cancel);
  expect((await result).error?.code).toBe(code);
});

describe("a cancelled call", () => {
  test("is reset at the application while no clock moves: no proxy waits before it passes that on", async () => {
    for (const side of [pair.caller, pair.callee]) stopClock(side);
    const count = 20;
    const calls = Array.from({ length: count }, (_, index) => {
      const client = pair.client();
      const stream = index % 2 === 0 ? client.bidi() : client.serverStream(Buffer.alloc(1));
      return stream.on("error", () => {});
    });
    await arrived(count);
    for (const one of calls) one.cancel();
    for (let index = 0; index < count; index++) await wasReset(index);
    expect(served.map(({ stream }) => stream.rstCode)).toEqual(new Array(count).fill(cancel));
  });

  test("whose application does not read is reset there all the same", async () => {
    onCall = ({ stream }) => stream.pause();
    for (const side of [pair.caller, pair.callee]) stopClock(side);
    const stream = pair.client().bidi();
    stream.on("error", () => {});
    for (let turn = 0; turn < 50; turn++) stream.write(Buffer.alloc(100_000));
    await arrived(1);
    const aborted = new Promise((resolve) => served[0]?.stream.on("aborted", resolve));
    stream.cancel();
    await aborted;
  });
});
