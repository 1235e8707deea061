/** Copies of calls to another version, over three real proxies: what the copy gets, and that the call never notices. */
import { Metadata, type ServerDuplexStream, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { RouteRule } from "../../../core/model.js";
import { DeadlineWheel } from "../../../data-plane/proxy/forward/deadline-wheel.js";
import { MirroredCall, mirrorsOpenMax } from "../../../data-plane/proxy/mirror/mirrored-call.js";
import { addInstance } from "../../support/add-instance.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair, type TestSide } from "../../support/proxy-pair.js";

type Unary = (call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>) => void;
type Bidi = (call: ServerDuplexStream<Buffer, Buffer>) => void;

/** What an application got, and what it does. */
class Application {
  readonly requests: { readonly metadata: Metadata; readonly bytes: string }[] = [];
  readonly cancelled: string[] = [];
  unary: Unary;
  bidi: Bidi = (call) => call.on("data", (bytes) => call.write(bytes)).on("end", () => call.end());

  constructor(unary: Unary) {
    this.unary = unary;
  }

  get handlers() {
    return {
      Unary: (call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>) => {
        this.requests.push({ metadata: call.metadata, bytes: call.request.toString() });
        call.on("cancelled", () => this.cancelled.push(call.request.toString()));
        this.unary(call, respond);
      },
      Bidi: (call: ServerDuplexStream<Buffer, Buffer>) => {
        this.requests.push({ metadata: call.metadata, bytes: "" });
        call.on("cancelled", () => this.cancelled.push("stream")).on("error", () => {});
        this.bidi(call);
      },
    };
  }
}

let pair: ProxyPair;
let second: TestSide;
let one: Application;
let two: Application;

beforeEach(async () => {
  one = new Application((call, respond) => respond(null, call.request));
  two = new Application((_call, respond) => respond(null, Buffer.from("of the copy")));
  pair = await ProxyPair.start(one.handlers);
  second = await addInstance(pair, "v2", two.handlers);
  follow({});
});
afterEach(() => {
  second.close();
  pair.stop();
});

let revision = 10;
const mirror = { version: "v2", percent: 10_000 };
function follow(rule: Partial<RouteRule>): void {
  const rules = [{ match: undefined, split: [{ version: "v1", weight: 1 }], timeoutMs: 0, mirror, ...rule }];
  const policy = buildPolicy(++revision, [{ service: "bytes", allow: [everyone], rules }]);
  for (const side of [pair.caller, second]) side.policy.switchTo(policy);
}

async function call(text: string, headers: Record<string, string> = {}, deadlineMs = 20_000) {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  const result = await pair.client().unary(Buffer.from(text), metadata, { deadline: Date.now() + deadlineMs });
  return { code: result.error?.code ?? status.OK, text: result.response?.toString() };
}

const ok = (text: string) => ({ code: status.OK, text });
const outcomes = (): readonly string[] => pair.caller.metrics.copies;
const isMirrored = (side: TestSide): readonly unknown[] =>
  side.decisions.decisions.map(({ mirrored }) => mirrored === true);

describe("a copy", () => {
  test("has the call's messages, metadata and deadline, and a mark; its answer goes to nobody", async () => {
    expect(await call("hello", { "x-user": "7" })).toEqual(ok("hello"));
    await eventually("it was answered", () => outcomes().length === 1);
    expect(outcomes()).toEqual(["answered"]);
    const [copy] = two.requests;
    expect(copy?.bytes).toBe("hello");
    const value = (name: string): unknown => copy?.metadata.get(name)[0];
    expect([value("x-user"), value("ashlar-mirror"), value("ashlar-caller")]).toEqual([
      ...["7", "1"],
      "spiffe://test/service/shop",
    ]);
    expect(value("traceparent")).toBe(one.requests[0]?.metadata.get("traceparent")[0]);
    expect(one.requests[0]?.metadata.get("ashlar-mirror")).toEqual([]);
  });

  test("is told apart in records and metrics of its destination", async () => {
    await call("hello");
    await eventually("both ended", () => pair.callee.metrics.ended.length + second.metrics.ended.length === 2);
    expect([isMirrored(pair.callee), isMirrored(second)]).toEqual([[false], [true]]);
    const marks = [pair.callee, second].map(({ metrics }) => metrics.ended.map((ended) => ended.isMirrored));
    expect(marks).toEqual([[false], [true]]);
  });

  test("counts as a call where policy makes none: a stolen proxy's word takes its calls out of nothing", async () => {
    const without = [{ match: undefined, split: [], timeoutMs: 0 }];
    for (const rules of [
      without,
      [{ ...without[0], split: [], timeoutMs: 0, mirror: { version: "v3", percent: 10_000 } }],
    ]) {
      second.metrics.ended.length = second.decisions.decisions.length = two.requests.length = 0;
      second.policy.switchTo(
        buildPolicy(++revision, [{ service: "bytes", allow: [everyone], rules: rules as RouteRule[] }]),
      );
      await call("hello");
      await eventually("the copy ended", () => second.metrics.ended.length === 1);
      expect([isMirrored(second), second.metrics.ended[0]?.isMirrored]).toEqual([[false], false]);
      expect(two.requests[0]?.metadata.get("ashlar-mirror")).toEqual(["1"]); // it may be one: revisions switch at different times
    }
  });

  test("cannot be made by an application: its mark is taken away", async () => {
    follow({ mirror: undefined });
    expect(await call("hello", { "ashlar-mirror": "1" })).toEqual(ok("hello"));
    expect(one.requests[0]?.metadata.get("ashlar-mirror")).toEqual([]);
    await eventually("it ended", () => pair.callee.metrics.ended.length === 1);
    expect([isMirrored(pair.callee), pair.callee.metrics.ended[0]?.isMirrored]).toEqual([[false], false]);
    follow({});
    await call("hello", { "ashlar-mirror": "0" });
    await eventually("the copy is there", () => two.requests.length === 1);
    expect(two.requests[0]?.metadata.get("ashlar-mirror")).toEqual(["1"]);
  });

  test("is judged by its destination like any call", async () => {
    const rules = [{ match: undefined, split: [], timeoutMs: 0, mirror }];
    second.policy.switchTo(buildPolicy(99, [{ service: "bytes", allow: [], rules }]));
    expect(await call("hello")).toEqual(ok("hello"));
    await eventually("it was refused", () => second.metrics.ended.length === 1);
    expect([second.metrics.ended[0]?.code, two.requests]).toEqual([status.PERMISSION_DENIED, []]);
    expect(second.decisions.decisions[0]).toMatchObject({ verdict: "denied", mirrored: true });
  });

  test("of a journaled write is refused: it would be one more write", async () => {
    const journal = { mode: "before", response: "digest", idempotencyKey: undefined, orderBy: undefined } as const;
    second.policy.switchTo(buildPolicy(99, [{ service: "bytes", allow: [everyone], journal }]));
    expect(await call("hello")).toEqual(ok("hello"));
    await eventually("it was refused", () => second.metrics.ended.length === 1);
    expect([second.metrics.ended[0]?.code, two.requests]).toEqual([status.FAILED_PRECONDITION, []]);
  });

  test("goes on under the method and with the headers that the route changes", async () => {
    follow({
      headers: { request: { set: [{ name: "x-canary", value: "1" }], remove: ["x-secret"] } },
    });
    await call("hello", { "x-secret": "s" });
    await eventually("the copy is there", () => two.requests.length === 1);
    expect(["x-canary", "x-secret"].map((name) => two.requests[0]?.metadata.get(name))).toEqual([["1"], []]);
  });

  test("is made of the share of the calls that the draw decides", async () => {
    follow({ mirror: { ...mirror, percent: 500 } });
    pair.caller.draw = () => 0.05;
    await call("not this one");
    pair.caller.draw = () => 0.049;
    await call("this one");
    await eventually("the copy is there", () => two.requests.length === 1);
    expect(two.requests.map(({ bytes }) => bytes)).toEqual(["this one"]);
  });
});

describe("the call does not notice", () => {
  test("a version that never answers: further copies are dropped, and counted", async () => {
    two.unary = () => {};
    for (let turn = 0; turn < mirrorsOpenMax + 3; turn++) expect(await call("hello")).toEqual(ok("hello"));
    expect(outcomes()).toEqual(["full", "full", "full"]);
    await eventually("the others are there", () => two.requests.length === mirrorsOpenMax);
  }, 30_000);

  test("a version without an instance", async () => {
    follow({ mirror: { ...mirror, version: "v3" } });
    expect(await call("hello")).toEqual(ok("hello"));
    expect([outcomes(), two.requests]).toEqual([["no-instance"], []]);
  });

  test("a version that cannot be reached", async () => {
    second.close();
    expect(await call("hello")).toEqual(ok("hello"));
    await eventually("it was dropped", () => outcomes().length === 1);
    expect(outcomes()).toEqual(["unreachable"]);
  });

  test("that the copy outlives it, until the deadline", async () => {
    two.unary = () => {};
    expect(await call("hello", {}, 1500)).toEqual(ok("hello"));
    await eventually("the copy is there", () => two.requests.length === 1);
    await eventually("it was given up", () => outcomes().length === 1 && two.cancelled.length === 1);
    // whichever of the two proxies looks at its clock first
    expect(["late", "answered"]).toContain(outcomes()[0]);
  });

  test("that the copy outlives it by a minute at most, however late its deadline is", async () => {
    two.unary = () => {};
    const added = jest.spyOn(DeadlineWheel.prototype, "add");
    const before = performance.now();
    expect(await call("hello", {}, 3_600_000)).toEqual(ok("hello"));
    const due = added.mock.calls.filter(([timed]) => timed instanceof MirroredCall).map(([, dueMs]) => dueMs);
    added.mockRestore();
    expect(due).toHaveLength(2);
    expect(due[0]).toBeGreaterThan(before + 3_500_000);
    expect(due[1]).toBeGreaterThanOrEqual(before + 60_000);
    expect(due[1]).toBeLessThanOrEqual(performance.now() + 60_000);
  });

  test("that it is never tried again, while the call is", async () => {
    let failures = 2;
    one.unary = (own, respond) => {
      if (failures-- > 0) respond({ code: status.UNAVAILABLE, details: "no" });
      else respond(null, own.request);
    };
    two.unary = (_own, respond) => respond({ code: status.UNAVAILABLE, details: "no" });
    const retry = { attempts: 3, on: ["UNAVAILABLE"], backoffMs: 1, maxBackoffMs: 1, perTryTimeoutMs: 0 } as const;
    follow({ retry });
    expect(await call("hello")).toEqual(ok("hello"));
    await eventually("the copy was answered", () => outcomes().length === 1);
    expect([one.requests.length, two.requests.length, outcomes()]).toEqual([3, 1, ["answered"]]);
  });
});

describe("a stream's copy", () => {
  test("gets the messages as they go", async () => {
    const [got, ends]: [string[], number[]] = [[], []];
    two.bidi = (copy) =>
      copy
        .on("data", (bytes: Buffer) => got.push(bytes.toString()))
        .on("end", () => {
          ends.push(got.length);
          copy.end();
        });
    const stream = pair.client().bidi();
    const echoed: string[] = [];
    stream.on("error", () => {}).on("data", (bytes: Buffer) => echoed.push(bytes.toString()));
    for (const text of ["one", "two", "three"]) {
      const before = echoed.length;
      stream.write(Buffer.from(text));
      await eventually("both have it", () => echoed.length > before && got.length > before);
    }
    expect([got, ends]).toEqual([echoed, []]);
    stream.end();
    await eventually("both have its end", () => ends.length === 1 && outcomes().length === 1);
    expect(outcomes()).toEqual(["answered"]);
  });

  test("that is not read is dropped; the stream goes on", async () => {
    two.bidi = (copy) => copy.pause();
    const stream = pair.client().bidi();
    let echoed = 0;
    stream
      .on("error", () => {})
      .on("data", (bytes: Buffer) => {
        echoed += bytes.length;
      });
    const piece = Buffer.alloc(64 * 1024, 1);
    const send = async (turn: number): Promise<void> => {
      stream.write(piece);
      await eventually("it was echoed", () => echoed === (turn + 1) * piece.length);
    };
    await send(0);
    await eventually("the copy is there", () => two.requests.length === 1);
    let sent = 1;
    for (; sent < 500 && outcomes().length === 0; sent++) await send(sent);
    expect(outcomes()).toEqual(["slow"]);
    await eventually("its destination heard of it", () => second.metrics.ended.length === 1);
    await send(sent);
    stream.end();
  }, 30_000);

  test("ends with a call that ends before its request does", async () => {
    const stream = pair.client().bidi();
    stream.on("error", () => {}).on("data", () => {});
    stream.write(Buffer.from("one"));
    await eventually("both are there", () => one.requests.length + two.requests.length === 2);
    stream.cancel();
    await eventually("the copy was given up", () => two.cancelled.length === 1);
    expect(outcomes()).toEqual(["cut"]);
  });

  test("holds nothing once it is over", async () => {
    for (const text of ["one", "two"]) await call(text);
    const stream = pair.client().bidi();
    stream.on("data", () => {});
    stream.write(Buffer.alloc(100_000));
    stream.end();
    await eventually("all were answered", () => outcomes().length === 3);
    await eventually("nothing is kept", () => pair.caller.engine.budget.replayBytes === 0);
    expect(pair.caller.faults).toEqual([]);
  });
});
