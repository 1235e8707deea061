/** Calls that are tried at several instances at once, over four real proxies: the first answer counts, and nothing is left. */
import { Metadata, type ServerReadableStream, type ServerUnaryCall, type sendUnaryData, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { RouteRule } from "../../../core/model.js";
import { SeenCall } from "../../../data-plane/telemetry/seen-call.js";
import { addInstance } from "../../support/add-instance.js";
import type { ByteHandlers } from "../../support/byte-service.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair, type TestSide } from "../../support/proxy-pair.js";

/** One try as an application got it. */
interface Try {
  readonly instance: number;
  readonly previous: unknown;
  readonly bytes: string;
  respond: sendUnaryData<Buffer>;
  isCancelled: boolean;
}

let pair: ProxyPair;
let others: TestSide[];
let tries: Try[];
/** What a try does; the first one has number 1. */
let answer: (one: Try, nth: number) => void;

const reply = (one: Try): void => one.respond(null, Buffer.from(`of ${one.instance}`));
const fail = (one: Try, code: status, metadata?: Metadata): void =>
  one.respond({ code, details: `no ${one.instance}`, ...(metadata ? { metadata } : {}) });
const hang = (): void => {};

const handlersOf = (instance: number): ByteHandlers => {
  const begun = (
    call: ServerUnaryCall<Buffer, Buffer> | ServerReadableStream<Buffer, Buffer>,
    bytes: string,
    respond: sendUnaryData<Buffer>,
  ): void => {
    const previous = call.metadata.get("grpc-previous-rpc-attempts")[0];
    const one: Try = { instance, previous, bytes, respond, isCancelled: false };
    call.on("cancelled", () => {
      one.isCancelled = true;
    });
    tries.push(one);
    answer(one, tries.length);
  };
  return {
    Unary: (call, respond) => begun(call, call.request.toString(), respond),
    ClientStream: (call, respond) => {
      let length = 0;
      call.on("data", (bytes: Buffer) => {
        length += bytes.length;
      });
      call.on("end", () => respond(null, Buffer.from(`${length} at ${instance}`))).on("error", () => {});
      begun(call, "", respond);
    },
  };
};

beforeEach(async () => {
  tries = [];
  answer = reply;
  pair = await ProxyPair.start(handlersOf(0));
  others = [await addInstance(pair, "v1", handlersOf(1)), await addInstance(pair, "v1", handlersOf(2))];
});
afterEach(() => {
  expect(pair.caller.faults).toEqual([]);
  for (const side of others) side.close();
  pair.stop();
});

let revision = 10;
const soon = { attempts: 3, delayMs: 20 };
const never = { attempts: 3, delayMs: 300_000 };
function follow(rule: Partial<RouteRule>): void {
  const rules = [{ match: undefined, split: [], timeoutMs: 0, ...rule }];
  pair.caller.policy.switchTo(buildPolicy(++revision, [{ service: "bytes", allow: [everyone], rules }]));
}

async function call(deadlineMs = 20_000, bytes = Buffer.from("hello")) {
  const result = await pair.client().unary(bytes, undefined, { deadline: Date.now() + deadlineMs });
  return { code: result.error?.code ?? status.OK, text: result.response?.toString() ?? result.error?.details };
}

const outcomes = (): readonly string[] => pair.caller.metrics.hedges;
const instances = (): readonly number[] => tries.map(({ instance }) => instance);

function pushback(text: string): Metadata {
  const metadata = new Metadata();
  metadata.set("grpc-retry-pushback-ms", text);
  return metadata;
}

describe("tries beside each other", () => {
  test("the first answer counts; the others are cancelled, and each was at another instance", async () => {
    follow({ hedge: soon });
    answer = (one, nth) => (nth === 3 ? reply(one) : hang());
    expect(await call()).toEqual({ code: status.OK, text: `of ${tries[2]?.instance}` });
    await eventually(
      "the others were cancelled",
      () => tries[0]?.isCancelled === true && tries[1]?.isCancelled === true,
    );
    expect([...instances()].sort()).toEqual([0, 1, 2]);
    // they may arrive in another order than they began
    expect(new Set(tries.map(({ bytes, previous }) => `${bytes} ${previous}`))).toEqual(
      new Set(["hello undefined", "hello 1", "hello 2"]),
    );
    expect([...outcomes()].sort()).toEqual(["lost", "won"]);
    expect(pair.caller.metrics.ended.at(-1)).toMatchObject({ code: status.OK, attempts: 3 });
  });

  test("an observer hears which of them ended how", async () => {
    follow({ hedge: soon });
    answer = (one, nth) => (nth === 3 ? reply(one) : hang());
    const seen: SeenCall[] = [];
    pair.caller.observe = (one) => {
      seen.push(new SeenCall({ traceId: "", spanId: "", parentId: "" }, false, () => 0));
      one.observe(seen[0] as SeenCall);
    };
    await call();
    await eventually("all ended", () => seen[0]?.attempts.every(({ outcome }) => outcome !== undefined) === true);
    const ended = seen[0]?.attempts.map(({ outcome }) => outcome);
    expect(ended?.sort()).toEqual(["answered", "cancelled", "cancelled"]); // they may arrive in another order
    expect(new Set(seen[0]?.attempts.map(({ endpoint }) => endpoint)).size).toBe(3);
  });

  test("the first try may still be the one that answers", async () => {
    follow({ hedge: soon });
    answer = (_one, nth) => {
      if (nth === 3) reply(tries[0] as Try);
    };
    expect(await call()).toEqual({ code: status.OK, text: `of ${tries[0]?.instance}` });
    await eventually(
      "the others were cancelled",
      () => tries[1]?.isCancelled === true && tries[2]?.isCancelled === true,
    );
    expect(outcomes()).toEqual(["lost", "lost"]);
  });

  test("none begins while the answer comes soon enough", async () => {
    follow({ hedge: never });
    for (let turn = 0; turn < 20; turn++) expect((await call()).code).toBe(status.OK);
    expect([tries.length, outcomes()]).toEqual([20, []]);
  });

  test("there are no more than instances", async () => {
    for (const side of others.splice(1)) side.close();
    pair.caller.endpoints.all.splice(2);
    follow({ hedge: { attempts: 5, delayMs: 5 } });
    answer = hang;
    expect((await call(2000)).code).toBe(status.DEADLINE_EXCEEDED);
    expect([...instances()].sort()).toEqual([0, 1]);
  });

  test("all are cancelled when the deadline passes, and when the caller cancels", async () => {
    follow({ hedge: soon });
    answer = hang;
    expect((await call(2000)).code).toBe(status.DEADLINE_EXCEEDED);
    await eventually("all were cancelled", () => tries.length === 3 && tries.every(({ isCancelled }) => isCancelled));
    tries = [];
    const stream = pair.client().clientStream(() => {});
    await eventually("three more are there", () => tries.length === 3);
    stream.cancel();
    await eventually("they were cancelled", () => tries.every(({ isCancelled }) => isCancelled));
  });
});

describe("after a failure", () => {
  test("that another instance may not share, the next try begins at once, elsewhere", async () => {
    follow({ hedge: never });
    answer = (one, nth) => (nth < 3 ? fail(one, status.UNAVAILABLE) : reply(one));
    expect(await call()).toEqual({ code: status.OK, text: `of ${tries[2]?.instance}` });
    expect([...instances()].sort()).toEqual([0, 1, 2]);
    expect(tries.map(({ previous }) => previous)).toEqual([undefined, "1", "2"]);
  });

  test("of a try beside, the first one goes on and answers", async () => {
    follow({ hedge: { attempts: 2, delayMs: 20 } });
    answer = (one, nth) => {
      if (nth < 2) return;
      fail(one, status.UNAVAILABLE);
      setImmediate(() => reply(tries[0] as Try));
    };
    expect(await call()).toEqual({ code: status.OK, text: `of ${tries[0]?.instance}` });
    await eventually("both are over", () => outcomes().length === 1);
    expect(tries).toHaveLength(2);
  });

  test("of the first try, the one beside it goes on and answers", async () => {
    follow({ hedge: { attempts: 2, delayMs: 20 } });
    answer = (one, nth) => {
      if (nth < 2) return;
      fail(tries[0] as Try, status.UNAVAILABLE);
      setTimeout(() => reply(one), 50);
    };
    expect(await call()).toEqual({ code: status.OK, text: `of ${tries[1]?.instance}` });
    expect(tries).toHaveLength(2);
  });

  test("of all, the last one is the answer", async () => {
    follow({ hedge: never });
    answer = (one) => fail(one, status.UNAVAILABLE);
    expect(await call()).toEqual({ code: status.UNAVAILABLE, text: `no ${tries[2]?.instance}` });
    expect(tries).toHaveLength(3);
  });

  test("that says something of the call itself, nothing more is tried", async () => {
    follow({ hedge: never });
    answer = (one) => fail(one, status.NOT_FOUND);
    expect((await call()).code).toBe(status.NOT_FOUND);
    follow({ hedge: { ...soon, attempts: 2 } }); // a third would begin meanwhile on a busy machine
    answer = (one, nth) => (nth === 3 ? fail(one, status.NOT_FOUND) : hang());
    expect((await call()).code).toBe(status.NOT_FOUND);
    await eventually("the other was cancelled", () => tries[1]?.isCancelled === true);
    expect(tries).toHaveLength(3);
  });

  test("a negative pushback ends it, of the first try and of one beside", async () => {
    follow({ hedge: never });
    answer = (one) => fail(one, status.UNAVAILABLE, pushback("-1"));
    expect((await call()).code).toBe(status.UNAVAILABLE);
    expect(tries).toHaveLength(1);
    tries = [];
    follow({ hedge: { attempts: 3, delayMs: 1500 } }); // long enough for the answer to the second to come before the third
    answer = (one, nth) => (nth === 2 ? fail(one, status.UNAVAILABLE, pushback("-1")) : hang());
    expect((await call(4000)).code).toBe(status.DEADLINE_EXCEEDED);
    expect(tries).toHaveLength(2);
  });

  test("a pushback is waited for", async () => {
    follow({ hedge: never });
    answer = (one, nth) => (nth === 1 ? fail(one, status.UNAVAILABLE, pushback("300")) : reply(one));
    const before = performance.now();
    expect((await call()).code).toBe(status.OK);
    expect(performance.now() - before).toBeGreaterThanOrEqual(299);
  });

  test("an instance that is not reached costs its try only", async () => {
    for (const side of others.splice(0)) side.close();
    follow({ hedge: soon });
    for (let turn = 0; turn < 5; turn++) expect((await call()).text).toBe("of 0");
  });
});

describe("a request", () => {
  test("reaches all tries as it goes, and the one that answers has all of it", async () => {
    follow({ hedge: { attempts: 2, delayMs: 20 } });
    answer = hang;
    const answered = new Promise<string>((resolve) => {
      const stream = pair.client().clientStream((error, response) => resolve(error?.message ?? String(response)));
      stream.write(Buffer.alloc(1000));
      void eventually("both are there", () => tries.length === 2).then(() => {
        stream.write(Buffer.alloc(2000));
        stream.end();
      });
    });
    expect(await answered).toMatch(/^3000 at /);
    expect(pair.caller.engine.budget.replayBytes).toBe(0);
  });

  test("that is too long to be kept is not hedged", async () => {
    follow({ hedge: { attempts: 3, delayMs: 1 } });
    answer = (one) => void setTimeout(() => reply(one), 100);
    expect((await call(20_000, Buffer.alloc(200_000))).code).toBe(status.OK);
    expect(tries).toHaveLength(1);
  });

  test("that grows too long goes on with one try alone", async () => {
    follow({ hedge: { attempts: 2, delayMs: 20 } });
    answer = hang;
    let left: number | undefined;
    const answered = new Promise<string>((resolve) => {
      const stream = pair.client().clientStream((error, response) => resolve(error?.message ?? String(response)));
      void eventually("both are there", () => tries.length === 2)
        .then(() => stream.write(Buffer.alloc(100_000)))
        .then(() => eventually("one of them is cancelled", () => tries.some(({ isCancelled }) => isCancelled)))
        .then(() => {
          left = tries.find(({ isCancelled }) => !isCancelled)?.instance;
          stream.end();
        });
    });
    expect(await answered).toBe(`100000 at ${left}`);
    expect(outcomes()).toEqual(["lost"]);
  });
});

test("the retry budget bounds tries beside others", async () => {
  follow({ hedge: { attempts: 2, delayMs: 1 } });
  answer = (one) => void setTimeout(() => reply(one), 30);
  const calls = 200;
  const before = performance.now();
  for (let turn = 0; turn < calls; turn += 10) await Promise.all(Array.from({ length: 10 }, () => call()));
  const seconds = (performance.now() - before) / 1000;
  expect(tries.length - calls).toBeLessThanOrEqual(calls * 0.2 + 10 * (seconds + 1));
  expect(tries.length - calls).toBeGreaterThan(20);
  expect(pair.caller.engine.retries.refused).toBeGreaterThan(0);
  expect(pair.caller.faults).toEqual([]);
}, 30_000);
