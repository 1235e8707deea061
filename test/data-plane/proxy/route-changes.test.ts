/** What a route does with a call on its way: another method, other headers, faults on purpose, and tries after failures. */
import { Metadata, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { Retry, RouteRule } from "../../../core/model.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";

type Answering = (call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>, nth: number) => void;

let pair: ProxyPair;
let answer: Answering;
let seen: Metadata[] = [];
let streamed = 0;

beforeEach(async () => {
  seen = [];
  streamed = 0;
  answer = (call, respond) => respond(null, call.request);
  pair = await ProxyPair.start({
    Unary: (call, respond) => {
      seen.push(call.metadata);
      answer(call, respond, seen.length);
    },
    ServerStream: (call) => {
      streamed++;
      call.write(call.request);
      call.end();
    },
  });
});
afterEach(() => pair.stop());

let revision = 10;
function follow(rule: Partial<RouteRule>): void {
  const rules = [{ match: undefined, split: [], timeoutMs: 0, ...rule }];
  pair.caller.policy.switchTo(buildPolicy(++revision, [{ service: "bytes", allow: [everyone], rules }]));
}

async function call(headers: Record<string, string> = {}, bytes = Buffer.from("hello"), deadlineMs = 20_000) {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  const result = await pair.client().unary(bytes, metadata, { deadline: Date.now() + deadlineMs });
  return { ...result, code: result.error?.code ?? status.OK, details: result.error?.details ?? "" };
}

describe("rewrite", () => {
  test("sends a call on under another method, which its destination judges", async () => {
    follow({ rewrite: { method: "test.Bytes/ServerStream" } });
    expect((await call()).response?.toString()).toBe("hello");
    expect([streamed, seen.length]).toEqual([1, 0]);
    const deny = [{ from: ["*"], methods: ["test.Bytes/ServerStream"] }];
    pair.callee.policy.switchTo(buildPolicy(99, [{ service: "bytes", allow: [everyone], deny }]));
    expect((await call()).code).toBe(status.PERMISSION_DENIED);
    expect(pair.callee.decisions.decisions.at(-1)?.method).toBe("test.Bytes/ServerStream");
  });
});

test("headers are removed, then set, then added, on both ways", async () => {
  answer = (own, respond) => {
    const metadata = new Metadata();
    metadata.set("x-old", "1");
    metadata.set("x-kept", "2");
    own.sendMetadata(metadata);
    respond(null, own.request);
  };
  const value = (name: string, text: string) => ({ name, value: text });
  follow({
    headers: {
      request: { remove: ["x-secret"], set: [value("x-canary", "1")], add: [value("x-more", "b")] },
      response: { remove: ["x-old"], add: [value("x-served-by", "v2")] },
    },
  });
  const { headers } = await call({ "x-secret": "s", "x-canary": "0", "x-more": "a" });
  const [request] = seen;
  expect(["x-secret", "x-canary", "x-more"].map((name) => request?.get(name))).toEqual([[], ["1"], ["a, b"]]);
  expect(["x-old", "x-kept", "x-served-by"].map((name) => headers?.get(name))).toEqual([[], ["2"], ["v2"]]);
});

describe("a fault on purpose", () => {
  test("answers calls that go nowhere, and says which route did it", async () => {
    follow({ fault: { abort: { code: "DATA_LOSS", percent: 10_000 } } });
    expect(await call()).toMatchObject({ code: status.DATA_LOSS, details: expect.stringContaining("bytes/rules[0]") });
    expect(seen).toEqual([]);
  });

  test("makes calls wait; their deadline runs on", async () => {
    follow({ fault: { delay: { timeMs: 300, percent: 10_000 } } });
    const before = performance.now();
    expect((await call()).code).toBe(status.OK);
    expect(performance.now() - before).toBeGreaterThanOrEqual(299);
    expect((await call({}, Buffer.from("a"), 100)).code).toBe(status.DEADLINE_EXCEEDED);
    expect(seen).toHaveLength(1);
  });
});

describe("retry", () => {
  const retry: Retry = { attempts: 3, on: ["UNAVAILABLE"], backoffMs: 1, maxBackoffMs: 5, perTryTimeoutMs: 0 };
  const failing =
    (times: number, metadata?: Metadata): Answering =>
    (own, respond, nth) => {
      if (nth > times) respond(null, own.request);
      else respond({ code: status.UNAVAILABLE, details: `no ${nth}`, ...(metadata ? { metadata } : {}) });
    };

  test("tries again after a listed code, says how often it did, and sends the messages again", async () => {
    follow({ retry });
    answer = failing(2);
    const result = await call();
    expect([result.code, result.response?.toString()]).toEqual([status.OK, "hello"]);
    expect(seen.map((metadata) => metadata.get("grpc-previous-rpc-attempts"))).toEqual([[], ["1"], ["2"]]);
    expect(pair.caller.metrics.retries).toEqual(["bytes", "bytes"]);
  });

  test("ends with the last failure when the attempts are over", async () => {
    follow({ retry });
    answer = failing(9);
    expect(await call()).toMatchObject({ code: status.UNAVAILABLE, details: "no 3" });
    expect(seen).toHaveLength(3);
  });

  test.each([
    [
      "another code",
      (own: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>) => {
        respond({ code: status.ABORTED, details: own.getPath() });
      },
    ],
    ["the server says no", failing(9, metadataWith("grpc-retry-pushback-ms", "-1"))],
    [
      "the caller has response headers",
      (own: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>) => {
        own.sendMetadata(new Metadata());
        respond({ code: status.UNAVAILABLE, details: "late" });
      },
    ],
  ] as const)("not after: %s", async (_name, answering) => {
    follow({ retry });
    answer = answering;
    expect((await call()).code).not.toBe(status.OK);
    expect(seen).toHaveLength(1);
  });

  test("not where the request was too long to be kept", async () => {
    follow({ retry });
    answer = failing(9);
    expect((await call({}, Buffer.alloc(200_000))).code).toBe(status.UNAVAILABLE);
    expect([seen.length, pair.caller.metrics.tooLongOnes]).toEqual([1, ["bytes"]]);
    answer = (_own, respond) => respond({ code: status.ABORTED, details: "not one that is tried again" });
    await call({}, Buffer.alloc(200_000));
    expect(pair.caller.metrics.tooLongOnes).toHaveLength(1);
  });

  test("a try that takes too long is given up for the next one", async () => {
    follow({ retry: { ...retry, on: ["DEADLINE_EXCEEDED"], perTryTimeoutMs: 1000 } });
    const cancelled: number[] = [];
    answer = (own, respond, nth) => {
      if (nth > 1) respond(null, own.request);
      else own.on("cancelled", () => cancelled.push(nth));
    };
    expect((await call()).code).toBe(status.OK);
    await eventually("the first try was cancelled", () => cancelled.length === 1);
    answer = () => {};
    const before = seen.length;
    expect((await call()).code).toBe(status.DEADLINE_EXCEEDED);
    expect(seen.length - before).toBe(3);
  }, 30_000);

  test("keeps to the budget of the destination while everything fails", async () => {
    follow({ retry });
    answer = failing(1_000_000);
    const calls = 300;
    const before = performance.now();
    for (let turn = 0; turn < calls; turn++) await call();
    const seconds = (performance.now() - before) / 1000;
    expect(seen.length - calls).toBeLessThanOrEqual(calls * 0.2 + 10 * (seconds + 1));
    expect(seen.length - calls).toBeGreaterThan(20);
  }, 60_000);
});

function metadataWith(name: string, value: string): Metadata {
  const metadata = new Metadata();
  metadata.set(name, value);
  return metadata;
}
