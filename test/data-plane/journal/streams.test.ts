/** Requests of several messages, through an inbound proxy into a journal on a real nats-server. */
import { type handleClientStreamingCall, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { isMessagesKey, journalKey } from "../../../core/journal/journal-key.js";
import type { Journal } from "../../../core/kinds/journal/journal.js";
import { parseEntry } from "../../../core/wire/journal/entry.js";
import { splitFrames } from "../../../core/wire/journal/grpc-frames.js";
import { parseMessages } from "../../../core/wire/journal/messages.js";
import { journalStream, parseJournalSubject } from "../../../core/wire/subjects.js";
import type { Journal as OpenJournal } from "../../../data-plane/journal/journal.js";
import type { Bus } from "../../../runtime/bus.js";
import { systemClock } from "../../../runtime/clock.js";
import { requestOf } from "../../../runtime/streamed-request.js";
import { JournalNats } from "../../support/journal-nats.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";
import { until } from "../../support/until.js";

type Fields = Omit<Journal, "kind" | "name" | "service">;
const before: Fields = {
  mode: "before",
  response: "bytes",
  idempotencyKey: undefined,
  orderBy: undefined,
  streamBytesMax: 512 * 1024,
};
const keyed: Fields = { ...before, idempotencyKey: 'request.headers["idempotency-key"]' };
const ordered: Fields = { ...before, orderBy: 'request.headers["x-account"]' };
const after: Fields = { ...before, mode: "after" };

let nats: JournalNats;
let pair: ProxyPair;
let journal: OpenJournal;
/** What the application got so far, one line a call. */
let seen: string[][];
let cancelled: number;
let handler: handleClientStreamingCall<Buffer, Buffer>;

beforeEach(async () => {
  nats = await JournalNats.start("bytes");
  seen = [];
  cancelled = 0;
  handler = (call, done) => {
    const own: string[] = [];
    seen.push(own);
    call.on("data", (message: Buffer) => own.push(message.toString()));
    call.on("end", () => done(null, Buffer.from(own.join("+"))));
    call.on("cancelled", () => {
      cancelled += 1;
    });
  };
  pair = await ProxyPair.start({ ClientStream: (call, done) => handler(call, done) });
  journal = nats.open(pair.callee.policy, "p1");
  pair.callee.journal = journal;
});

afterEach(async () => {
  pair.stop();
  await nats.stop();
});

function journaled(fields: Fields, idempotent: readonly string[] = []): void {
  const unit = { service: "bytes", allow: [everyone], journal: fields, idempotent };
  pair.callee.policy.switchTo(buildPolicy(2, [unit]));
}

function begin(headers: Readonly<Record<string, string>> = {}) {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  let end: (result: { error: ServiceError | null; response: string | undefined }) => void = () => {};
  const result = new Promise<{ error: ServiceError | null; response: string | undefined }>(
    (resolve) => (end = resolve),
  );
  const call = pair
    .client()
    .clientStream((error, response) => end({ error, response: response?.toString() }), metadata);
  return { call, result };
}

function send(messages: readonly string[], headers: Readonly<Record<string, string>> = {}) {
  const { call, result } = begin(headers);
  for (const message of messages) call.write(Buffer.from(message));
  call.end();
  return result;
}

/** The records in their order: "messages" with what they have, or what else they are. */
async function records(): Promise<readonly string[]> {
  return (await nats.stored()).map(({ subject, data }) => {
    const place = parseJournalSubject(subject);
    if (place?.kind !== "entry") return place?.kind ?? "none";
    if (!isMessagesKey(place.key)) return "entry";
    const frames = splitFrames(parseMessages(data, undefined, place.key).messages) ?? [];
    return `messages ${frames.map(({ bytes }) => Buffer.from(bytes).toString()).join(",")}`;
  });
}

const messagesIn = (found: readonly string[]): string =>
  found
    .filter((each) => each.startsWith("messages "))
    .map((each) => each.slice("messages ".length))
    .join(",");

/** The entry at a place of the log, and its request's messages. */
async function entryAt(index: number) {
  const message = (await nats.stored())[index];
  const key = parseJournalSubject(message?.subject ?? "")?.key ?? "";
  const entry = parseEntry(message?.data ?? new Uint8Array(), undefined, key);
  expect(journalKey(entry)).toBe(key);
  const get = (query: Parameters<Bus["directGet"]>[1]) => nats.bus.directGet(journalStream("bytes"), query);
  const deps = { get, clock: systemClock, random: Math.random };
  const framed = await requestOf(deps, entry, new AbortController().signal);
  return { entry, messages: splitFrames(framed)?.map(({ bytes }) => Buffer.from(bytes).toString()) };
}

describe("mode before", () => {
  test("messages are appended as they come, and the application sees nothing before the closing record", async () => {
    journaled(before);
    const { call, result } = begin();
    call.write(Buffer.from("one"));
    call.write(Buffer.from("two"));
    await until("two messages are in the journal", async () => messagesIn(await records()) === "one,two");
    call.write(Buffer.from("three"));
    await until("the third is, too", async () => messagesIn(await records()) === "one,two,three");
    expect(seen).toEqual([]);
    call.end();
    expect(await result).toEqual({ error: null, response: "one+two+three" });
    await until("the outcome is recorded", async () => (await records()).at(-1) === "outcome");
    const found = await records();
    expect(found.filter((each) => !each.startsWith("messages "))).toEqual(["entry", "outcome"]);
    const at = found.indexOf("entry");
    expect(await entryAt(at)).toMatchObject({ messages: ["one", "two", "three"], entry: { request: Buffer.alloc(0) } });
    expect(seen).toEqual([["one", "two", "three"]]);
  });

  test("one message is no stream, nor are several where policy does not say how long streams are", async () => {
    journaled(before);
    await send(["one"]);
    await until("it is recorded", async () => (await records()).length === 2);
    expect(await records()).toEqual(["entry", "outcome"]);
    journaled({ ...before, streamBytesMax: undefined });
    expect(await send(["one", "two"])).toEqual({ error: null, response: "one+two" });
    await until("it is recorded", async () => (await records()).length === 4);
    expect(await records()).toEqual(["entry", "outcome", "entry", "outcome"]);
    expect((await entryAt(2)).messages).toEqual(["one", "two"]);
  });

  test("a caller that breaks off leaves messages that nothing names", async () => {
    journaled(before);
    const { call, result } = begin();
    call.write(Buffer.from("one"));
    call.write(Buffer.from("two"));
    await until("two messages are in the journal", async () => messagesIn(await records()) === "one,two");
    call.cancel();
    expect((await result).error).toMatchObject({ code: status.CANCELLED });
    expect(await send(["other"])).toMatchObject({ response: "other" });
    expect(seen).toEqual([["other"]]);
    expect((await records()).filter((each) => each === "entry")).toHaveLength(1);
  });

  test("a stream or a message over its bound is 8, no entry is appended, and nothing is left in memory", async () => {
    journaled({ ...before, requestBytesMax: 2048, streamBytesMax: 4096 });
    const long = await send(Array.from({ length: 9 }, () => "m".repeat(500)));
    expect(long.error).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(long.error?.details).toContain("the messages of a journaled stream have at most 4096 bytes");
    const one = await send(["a", "m".repeat(2100)]);
    expect(one.error).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(one.error?.details).toContain("a message of a journaled stream has at most 2048 bytes");
    expect((await records()).filter((each) => !each.startsWith("messages "))).toEqual([]);
    expect(seen).toEqual([]);
    expect([journal.open, journal.room.bytes]).toEqual([0, 0]);
  });

  test("a stream is longer than one record", async () => {
    journaled(before);
    const messages = Array.from({ length: 20 }, (_, at) => `${at}`.padEnd(20_000, "."));
    expect((await send(messages)).response).toBe(messages.join("+"));
    await until("it is recorded", async () => (await records()).at(-1) === "outcome");
    const at = (await records()).indexOf("entry");
    const { entry, messages: kept } = await entryAt(at);
    expect(kept).toEqual(messages);
    expect(entry.streamed?.bytes).toBe(20 * 20_005);
    expect(at).toBeGreaterThan(1);
  });

  test("a repeat of a stream gets the recorded outcome, from any proxy; other messages under its key are 9", async () => {
    journaled(keyed);
    const key = { "idempotency-key": "k1" };
    expect(await send(["one", "two"], key)).toEqual({ error: null, response: "one+two" });
    pair.callee.journal = nats.open(pair.callee.policy, "p2");
    expect(await send(["one", "two"], key)).toEqual({ error: null, response: "one+two" });
    expect(seen).toHaveLength(1);
    expect((await send(["one", "three"], key)).error).toMatchObject({ code: status.FAILED_PRECONDITION });
    expect((await send(["one", "two"])).error).toMatchObject({ code: status.INVALID_ARGUMENT });
    expect((await records()).filter((each) => each === "entry")).toHaveLength(1);
    expect(seen).toHaveLength(1);
  });

  test("a stream whose outcome nobody knows is sent again whole, where its method may be", async () => {
    journaled(keyed, ["*"]);
    const answering = handler;
    const key = { "idempotency-key": "k1" };
    handler = (call) => {
      seen.push(["lost"]);
      call.on("data", () => {});
    };
    void send(["one", "two"], key);
    await eventually("the application has it", () => seen.length === 1);
    handler = answering;
    pair.callee.journal = nats.open(pair.callee.policy, "p1");
    expect(await send(["one", "two"], key)).toEqual({ error: null, response: "one+two" });
    expect(seen).toEqual([["lost"], ["one", "two"]]);
    expect((await records()).filter((each) => each === "entry")).toHaveLength(1);
  });

  test("streams take their places in an order key when they are closed", async () => {
    journaled(ordered);
    const account = { "x-account": "a" };
    const slow = begin(account);
    slow.call.write(Buffer.from("s1"));
    slow.call.write(Buffer.from("s2"));
    await until("it has begun", async () => messagesIn(await records()) === "s1,s2");
    expect(await send(["q1", "q2"], account)).toMatchObject({ response: "q1+q2" });
    slow.call.end();
    expect(await slow.result).toMatchObject({ response: "s1+s2" });
    const found = await records();
    const entries = found.flatMap((each, at) => (each === "entry" ? [at] : []));
    expect((await entryAt(entries[1] ?? 0)).entry.expected).toBe((entries[0] ?? 0) + 1);
    const late = await send(["l1", "l2"], { ...account, "ashlar-expected-sequence": String((entries[0] ?? 0) + 1) });
    expect(late.error).toMatchObject({ code: status.ABORTED });
    expect(seen).toHaveLength(2);
  });
});

describe("mode after", () => {
  test("the application gets messages as they come, and the entry names them with the outcome", async () => {
    journaled(after);
    const { call, result } = begin();
    call.write(Buffer.from("one"));
    call.write(Buffer.from("two"));
    await eventually("the application has them", () => seen[0]?.length === 2);
    await until("and the journal", async () => messagesIn(await records()) === "one,two");
    call.write(Buffer.from("three"));
    call.end();
    expect(await result).toEqual({ error: null, response: "one+two+three" });
    const found = await records(); // the entry is there before the answer
    expect(found.at(-1)).toBe("entry");
    const { entry, messages } = await entryAt(found.length - 1);
    expect(messages).toEqual(["one", "two", "three"]);
    expect(entry.outcome).toMatchObject({ code: 0 });
  });

  test("a stream that grows too long is broken off at the application and is no write", async () => {
    journaled({ ...after, requestBytesMax: 1024, streamBytesMax: 1024 });
    const { call, result } = begin();
    call.write(Buffer.from("one"));
    call.write(Buffer.from("two"));
    await eventually("the application has them", () => seen[0]?.length === 2);
    for (let at = 0; at < 4; at += 1) call.write(Buffer.from("m".repeat(300)));
    expect((await result).error).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    await eventually("the application is told", () => cancelled === 1);
    await eventually("nothing is under way", () => journal.open === 0);
    expect(await records()).not.toContain("entry");
    expect(journal.room.bytes).toBe(0);
  });

  test("a stream whose caller is gone before its end is no write", async () => {
    journaled(after);
    const { call, result } = begin();
    call.write(Buffer.from("one"));
    call.write(Buffer.from("two"));
    await eventually("the application has them", () => seen[0]?.length === 2);
    await until("and the journal", async () => messagesIn(await records()) === "one,two");
    pair.outbound.close(); // a client of grpc-js ends its stream before it resets it, so its proxy goes
    expect((await result).error).not.toBeNull();
    await eventually("the application is told", () => cancelled === 1);
    await eventually("nothing is under way", () => journal.open === 0);
    expect(await records()).not.toContain("entry");
  });

  test("an application that answers before the request ends has got what it answered", async () => {
    journaled(after);
    handler = (call, done) => {
      call.once("data", () => done({ code: status.OUT_OF_RANGE, details: "enough" }));
    };
    const { call, result } = begin();
    call.write(Buffer.from("one"));
    call.write(Buffer.from("two"));
    expect((await result).error).toMatchObject({ code: status.OUT_OF_RANGE });
    const found = await records();
    expect((await entryAt(found.length - 1)).entry.outcome).toMatchObject({ code: status.OUT_OF_RANGE });
  });
});
