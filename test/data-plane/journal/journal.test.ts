import { type handleUnaryCall, Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { digestOf } from "../../../core/digest.js";
import { AshlarError } from "../../../core/errors.js";
import type { Journal } from "../../../core/kinds/journal/journal.js";
import { parseJournalSubject } from "../../../core/wire/subjects.js";
import type { Bus } from "../../../runtime/bus.js";
import { JournalNats } from "../../support/journal-nats.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";

const keyed: Omit<Journal, "kind" | "name" | "service"> = {
  mode: "before",
  response: "bytes",
  idempotencyKey: 'request.headers["idempotency-key"]',
  orderBy: undefined,
};
const ordered = { ...keyed, orderBy: 'request.headers["x-account"]' };
const plain = { mode: "before", response: "digest", idempotencyKey: undefined, orderBy: undefined } as const;

let nats: JournalNats;
let pair: ProxyPair;
let applied: string[];
let lastHeaders: Metadata;
let handler: handleUnaryCall<Buffer, Buffer>;

const headers = (of: Readonly<Record<string, string>>): Metadata => {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(of)) metadata.set(name, value);
  return metadata;
};

function journaled(journal: Omit<Journal, "kind" | "name" | "service">): void {
  pair.callee.policy.switchTo(buildPolicy(2, [{ service: "bytes", allow: [everyone], journal }]));
}

async function kinds(): Promise<readonly string[]> {
  return (await nats.stored()).map(({ subject }) => parseJournalSubject(subject)?.kind ?? subject);
}

beforeEach(async () => {
  nats = await JournalNats.start("bytes");
  applied = [];
  handler = (call, done) => {
    applied.push(call.request.toString());
    lastHeaders = call.metadata;
    const trailers = headers({ "x-balance": String(applied.length) });
    done(null, Buffer.from(`applied ${call.request}`), trailers);
  };
  pair = await ProxyPair.start({ Unary: (call, done) => handler(call, done) });
  pair.callee.journal = nats.open(pair.callee.policy, "p1");
});

afterEach(async () => {
  pair.stop();
  await nats.stop();
});

describe("once by key", () => {
  test("a repeat gets the recorded outcome, from any proxy, and the application is called once", async () => {
    journaled(keyed);
    const key = headers({ "idempotency-key": "k1" });
    const first = await pair.client().unary(Buffer.from("pay 7"), key);
    expect(first).toMatchObject({ error: undefined, response: Buffer.from("applied pay 7") });
    expect(first.trailers.get("ashlar-sequence")).toEqual(["1"]);
    expect(lastHeaders.get("ashlar-sequence")).toEqual(["1"]);
    expect(lastHeaders.get("ashlar-key")).toEqual(["k1"]);
    expect(await kinds()).toEqual(["entry", "outcome"]); // the outcome was durable before the answer
    pair.callee.journal = nats.open(pair.callee.policy, "p2");
    const again = await pair.client().unary(Buffer.from("pay 7"), key);
    expect(again).toMatchObject({ error: undefined, response: Buffer.from("applied pay 7") });
    expect(again.trailers.get("x-balance")).toEqual(["1"]);
    expect(again.trailers.get("ashlar-sequence")).toEqual(["1"]);
    expect(applied).toEqual(["pay 7"]);
    expect(await kinds()).toEqual(["entry", "outcome"]);
  });

  test("an error of the application is an outcome, too", async () => {
    journaled(keyed);
    handler = (call, done) => {
      applied.push(call.request.toString());
      done({ code: status.FAILED_PRECONDITION, details: "no money" });
    };
    const key = headers({ "idempotency-key": "k1" });
    for (let time = 0; time < 2; time += 1) {
      const { error } = await pair.client().unary(Buffer.from("pay 7"), key);
      expect(error).toMatchObject({ code: status.FAILED_PRECONDITION, details: "no money" });
    }
    expect(applied).toHaveLength(1);
  });

  test("the same key with other bytes is 9, and a missing one 3, before anything is appended", async () => {
    journaled(keyed);
    await pair.client().unary(Buffer.from("pay 7"), headers({ "idempotency-key": "k1" }));
    const other = await pair.client().unary(Buffer.from("pay 8"), headers({ "idempotency-key": "k1" }));
    expect(other.error).toMatchObject({ code: status.FAILED_PRECONDITION });
    const missing = await pair.client().unary(Buffer.from("pay 9"));
    expect(missing.error).toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(applied).toEqual(["pay 7"]);
    expect(await kinds()).toEqual(["entry", "outcome"]);
  });

  test("two calls under one key at once: the second waits and gets the first one's outcome", async () => {
    journaled(keyed);
    let answer = (): void => {};
    handler = (call, done) => {
      applied.push(call.request.toString());
      answer = () => done(null, Buffer.from("once"));
    };
    const key = headers({ "idempotency-key": "k1" });
    const both = [pair.client().unary(Buffer.from("pay"), key), pair.client().unary(Buffer.from("pay"), key)];
    await eventually("the application has one", () => applied.length === 1);
    answer();
    for (const { response } of await Promise.all(both)) expect(response).toEqual(Buffer.from("once"));
    expect(applied).toHaveLength(1);
  });

  test("nobody knows what became of an entry of an earlier life: 14 with its sequence, and no second call", async () => {
    journaled(keyed);
    handler = (call) => {
      applied.push(call.request.toString()); // and it never answers
    };
    const key = headers({ "idempotency-key": "k1" });
    void pair.client().unary(Buffer.from("pay 7"), key, { deadline: Date.now() + 60_000 });
    await eventually("the application has it", () => applied.length === 1);
    pair.callee.journal = nats.open(pair.callee.policy, "p1");
    const again = await pair.client().unary(Buffer.from("pay 7"), key);
    expect(again.error).toMatchObject({ code: status.UNAVAILABLE, details: "outcome unknown (sequence 1)" });
    expect(applied).toHaveLength(1);
  });
});

describe("order", () => {
  test("a caller that knows an older sequence is told the last one, and writes of a key keep their order", async () => {
    journaled(ordered);
    const of = (key: string, expected?: string) =>
      headers({ "idempotency-key": key, "x-account": "a", ...(expected && { "ashlar-expected-sequence": expected }) });
    const first = await pair.client().unary(Buffer.from("1"), of("k1", "0"));
    expect(first.trailers.get("ashlar-sequence")).toEqual(["1"]);
    expect(lastHeaders.get("ashlar-expected-sequence")).toEqual([]);
    const lost = await pair.client().unary(Buffer.from("2"), of("k2", "0"));
    expect(lost.error).toMatchObject({ code: status.ABORTED });
    expect(lost.trailers.get("ashlar-sequence")).toEqual(["1"]);
    const retried = await pair.client().unary(Buffer.from("2"), of("k2", "1"));
    expect(retried.error).toBeUndefined();
    const repeated = await pair.client().unary(Buffer.from("1"), of("k1", "0"));
    expect(repeated.response).toEqual(Buffer.from("applied 1"));
    expect(applied).toEqual(["1", "2"]);
  });

  test("callers that expect nothing are applied one after the other, over two proxies", async () => {
    journaled(ordered);
    const proxies = [nats.open(pair.callee.policy, "p1"), nats.open(pair.callee.policy, "p2")];
    let turn = 0;
    pair.callee.journal = {
      gateFor: (...call) => (proxies[turn++ % 2] as (typeof proxies)[0]).gateFor(...call),
    };
    for (let each = 0; each < 10; each += 1) {
      const metadata = headers({ "idempotency-key": `k${each}`, "x-account": "a" });
      expect((await pair.client().unary(Buffer.from(String(each)), metadata)).error).toBeUndefined();
    }
    expect(applied).toEqual(Array.from({ length: 10 }, (_, each) => String(each)));
  });

  test("an entry without an outcome keeps the next of its order key from the application", async () => {
    journaled(ordered);
    handler = (call) => {
      applied.push(call.request.toString());
    };
    const of = (key: string, account: string) => headers({ "idempotency-key": key, "x-account": account });
    void pair.client().unary(Buffer.from("1"), of("k1", "a"), { deadline: Date.now() + 60_000 });
    await eventually("the application has it", () => applied.length === 1);
    pair.callee.journal = nats.open(pair.callee.policy, "p1");
    for (const key of ["k2", "k3"]) {
      const next = await pair.client().unary(Buffer.from("2"), of(key, "a"));
      expect(next.error).toMatchObject({ code: status.UNAVAILABLE });
      expect(next.error?.details).toMatch(/sequence 1, which comes before it, has no outcome/);
    }
    expect(applied).toEqual(["1"]);
  });
});

describe("what another proxy of the service says of an entry", () => {
  test("counts for nothing: the outcome is still unknown", async () => {
    journaled(keyed);
    handler = (call) => {
      applied.push(call.request.toString());
    };
    const key = headers({ "idempotency-key": "k1" });
    void pair.client().unary(Buffer.from("pay 7"), key, { deadline: Date.now() + 60_000 });
    await eventually("the application has it", () => applied.length === 1);
    const [entry] = await nats.stored();
    if (entry === undefined) throw new Error("the entry was appended before it was forwarded");
    const last = entry.subject.split(".").at(-1) ?? "";
    await nats.settle("p2", last, { entry: entry.sequence, entryDigest: digestOf(entry.data) });
    await nats.settle("p1", last, { entry: entry.sequence, entryDigest: digestOf(Buffer.from("another")) });
    pair.callee.journal = nats.open(pair.callee.policy, "p1");
    const again = await pair.client().unary(Buffer.from("pay 7"), key);
    expect(again.error).toMatchObject({ code: status.UNAVAILABLE, details: "outcome unknown (sequence 1)" });
  });

  test("is no head of an order key, be there such an entry or not", async () => {
    journaled(ordered);
    const of = (key: string) => headers({ "idempotency-key": key, "x-account": "a" });
    expect((await pair.client().unary(Buffer.from("1"), of("k1"))).error).toBeUndefined();
    const [entry] = await nats.stored();
    const key = entry?.subject.split(".").at(-1) ?? "";
    for (const about of [2, 1_000_000]) {
      await nats.settle("p2", key, { entry: about, entryDigest: digestOf(Buffer.from("none")) });
      pair.callee.journal = nats.open(pair.callee.policy, "p1");
      expect((await pair.client().unary(Buffer.from("2"), of(`k2 ${about}`))).error).toBeUndefined();
    }
    expect(applied).toEqual(["1", "2", "2"]);
  });
});

describe("what fails", () => {
  test("without NATS a write is 14 and the application saw nothing; calls that are no writes go on", async () => {
    journaled({ ...plain, methods: ["test.Bytes/Unary"] });
    const away = async (): Promise<never> => {
      throw new AshlarError("unavailable", "NATS is not there");
    };
    const bus: Pick<Bus, "append" | "directGet"> = { append: away, directGet: away };
    pair.callee.journal = nats.open(pair.callee.policy, "p1", bus);
    const { error } = await pair.client().unary(Buffer.from("pay"), headers({}), { deadline: Date.now() + 30_000 });
    expect(error).toMatchObject({ code: status.UNAVAILABLE });
    expect(error?.details).toMatch(/the application was not called/);
    expect(applied).toEqual([]);
  });

  test.each([
    ["that wait for their turn in an order key", ordered],
    ["of mode after", { ...plain, mode: "after" } as const],
  ])("more writes at once than there is room for are 8, also %s", async (_which, journal) => {
    journaled(journal);
    const appends: unknown[] = [];
    const never = (...append: readonly unknown[]): Promise<never> => {
      appends.push(append);
      return new Promise(() => {});
    };
    const bus: Pick<Bus, "append" | "directGet"> = { append: never, directGet: async () => undefined };
    pair.callee.journal = nats.open(pair.callee.policy, "p1", bus, { writesMax: 2 });
    const write = (key: string) =>
      pair.client().unary(Buffer.from(key), headers({ "idempotency-key": key, "x-account": "a" }));
    const ended = await Promise.race([write("1"), write("2"), write("3")]);
    expect(ended.error).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    await eventually("the others wait", () => appends.length > 0);
  });

  test("a lost acknowledgement is asked for again: one entry, one call", async () => {
    journaled(plain);
    let losses = 1;
    const bus: Pick<Bus, "append" | "directGet"> = {
      directGet: (stream, query) => nats.bus.directGet(stream, query),
      append: async (subject, data, options) => {
        const sequence = await nats.bus.append(subject, data, options);
        if (losses-- > 0) throw new AshlarError("unavailable", "the acknowledgement was lost");
        return sequence;
      },
    };
    pair.callee.journal = nats.open(pair.callee.policy, "p1", bus);
    expect((await pair.client().unary(Buffer.from("pay"))).error).toBeUndefined();
    expect(applied).toEqual(["pay"]);
    await nats.bus.flush();
    expect((await kinds()).filter((kind) => kind === "entry")).toHaveLength(1);
  });

  test("a write over the bound is 8 before anything is appended; one below it passes whole", async () => {
    journaled({ ...keyed, requestBytesMax: 200_000 });
    const long = await pair.client().unary(Buffer.alloc(200_001, "a"), headers({ "idempotency-key": "k1" }));
    expect(long.error).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(await kinds()).toEqual([]);
    const fits = await pair.client().unary(Buffer.alloc(199_000, "a"), headers({ "idempotency-key": "k2" }));
    expect(fits.response?.length).toBe(199_008);
    const again = await pair.client().unary(Buffer.alloc(199_000, "a"), headers({ "idempotency-key": "k2" }));
    expect(again.response?.length).toBe(199_008);
    expect(applied).toHaveLength(1);
  });

  test("a call that ends after the append leaves a write that is carried to its end and recorded", async () => {
    journaled(keyed);
    let answer = (): void => {};
    handler = (call, done) => {
      applied.push(call.request.toString());
      answer = () => done(null, Buffer.from("late"));
    };
    const key = headers({ "idempotency-key": "k1" });
    const ended = pair.client().unary(Buffer.from("pay"), key);
    await eventually("the application has it", () => applied.length === 1);
    pair.callee.policy.switchTo(buildPolicy(3, [{ service: "bytes", journal: keyed }])); // which ends the open call
    expect((await ended).error).toMatchObject({ code: status.PERMISSION_DENIED });
    answer();
    journaled(keyed);
    const again = await pair.client().unary(Buffer.from("pay"), key);
    expect(again.response).toEqual(Buffer.from("late"));
    expect(applied).toHaveLength(1);
  });

  test("without an application nothing is forwarded, and a repeat under the key is", async () => {
    journaled(keyed);
    const { current } = pair.callee.app;
    pair.callee.app.set(undefined);
    const key = headers({ "idempotency-key": "k1" });
    const gone = await pair.client().unary(Buffer.from("pay"), key);
    expect(gone.error).toMatchObject({ code: status.UNAVAILABLE });
    pair.callee.app.set(current);
    expect((await pair.client().unary(Buffer.from("pay"), key)).response).toEqual(Buffer.from("applied pay"));
    expect(applied).toEqual(["pay"]);
  });
});

test("mode after: the application first, then one record with its outcome", async () => {
  journaled({ ...plain, mode: "after" });
  const { response, trailers } = await pair.client().unary(Buffer.from("note"));
  expect(response).toEqual(Buffer.from("applied note"));
  expect(trailers.get("ashlar-sequence")).toEqual(["1"]);
  expect(await kinds()).toEqual(["entry"]);
});

test("a repeat is judged by today's policy first", async () => {
  journaled(keyed);
  const key = headers({ "idempotency-key": "k1" });
  await pair.client().unary(Buffer.from("pay"), key);
  pair.callee.policy.switchTo(buildPolicy(3, [{ service: "bytes", journal: keyed }]));
  expect((await pair.client().unary(Buffer.from("pay"), key)).error).toMatchObject({ code: status.PERMISSION_DENIED });
});
