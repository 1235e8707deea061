/** Responses of several messages to journaled writes, with a journal on a real nats-server. */
import { type handleServerStreamingCall, Metadata, type ServerWritableStream, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import type { Journal as Fields } from "../../../core/kinds/journal/journal.js";
import { parseEntry } from "../../../core/wire/journal/entry.js";
import { splitFrames } from "../../../core/wire/journal/grpc-frames.js";
import { parseOutcome } from "../../../core/wire/journal/outcome.js";
import { parseJournalSubject } from "../../../core/wire/subjects.js";
import type { Journal } from "../../../data-plane/journal/journal.js";
import { JournalNats } from "../../support/journal-nats.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";
import { until } from "../../support/until.js";

const before: Omit<Fields, "kind" | "name" | "service"> = {
  mode: "before",
  response: "bytes",
  idempotencyKey: undefined,
  orderBy: undefined,
};
const keyed = { ...before, idempotencyKey: 'request.headers["idempotency-key"]' };

let nats: JournalNats;
let pair: ProxyPair;
let journal: Journal;
let calls: ServerWritableStream<Buffer, Buffer>[];
let handler: handleServerStreamingCall<Buffer, Buffer>;

beforeEach(async () => {
  nats = await JournalNats.start("bytes");
  calls = [];
  handler = (call) => {
    calls.push(call);
  };
  pair = await ProxyPair.start({ ServerStream: (call) => handler(call) });
  journal = nats.open(pair.callee.policy, "p1");
  pair.callee.journal = journal;
});

afterEach(async () => {
  pair.stop();
  await nats.stop();
});

function journaled(fields: Omit<Fields, "kind" | "name" | "service">): void {
  pair.callee.policy.switchTo(buildPolicy(2, [{ service: "bytes", allow: [everyone], journal: fields }]));
}

/** A call; `got` grows as messages come. */
function ask(key = "k1") {
  const metadata = new Metadata();
  metadata.set("idempotency-key", key);
  const call = pair.client().serverStream(Buffer.from("ask"), metadata);
  const got: Buffer[] = [];
  call.on("data", (message: Buffer) => got.push(message));
  call.on("error", () => {});
  const ended = new Promise<{ code: number; metadata: Metadata }>((resolve) => call.on("status", resolve));
  const texts = () => got.map((message) => message.toString());
  return { call, got, texts, ended };
}

const kinds = async () => (await nats.stored()).map(({ subject }) => parseJournalSubject(subject)?.kind);

async function outcome() {
  const last = (await nats.stored()).at(-1);
  return parseOutcome(last?.data ?? new Uint8Array(), undefined);
}

const messagesOf = (framed: Uint8Array | undefined) =>
  splitFrames(framed ?? new Uint8Array())?.map(({ bytes }) => Buffer.from(bytes).toString());

test("answers come as the application sends them; the request is appended before, the outcome after the last one", async () => {
  journaled(keyed);
  const { texts, ended } = ask();
  await eventually("the application has the call", () => calls.length === 1);
  expect(await kinds()).toEqual(["entry"]);
  for (const text of ["one", "two"]) calls[0]?.write(Buffer.from(text));
  await eventually("two came", () => texts().join() === "one,two");
  calls[0]?.write(Buffer.from("three"));
  await eventually("the third came", () => texts().length === 3);
  expect(await kinds()).toEqual(["entry"]);
  calls[0]?.end();
  expect(await ended).toMatchObject({ code: status.OK });
  expect((await ended).metadata.get("ashlar-sequence")).toEqual(["1"]);
  expect(await kinds()).toEqual(["entry", "outcome"]);
  expect(messagesOf((await outcome()).response)).toEqual(["one", "two", "three"]);
  // from any proxy, and the application is not asked
  pair.callee.journal = nats.open(pair.callee.policy, "p2");
  const again = ask();
  expect(await again.ended).toMatchObject({ code: status.OK });
  expect(again.texts()).toEqual(["one", "two", "three"]);
  expect(calls).toHaveLength(1);
});

test("the application's error after some answers is the outcome, and so is a stream of one answer or of none", async () => {
  journaled(before);
  handler = (call) => {
    for (const text of ["one", "two"]) call.write(Buffer.from(text));
    call.emit("error", { code: status.DATA_LOSS, details: "no more" });
  };
  const failed = ask();
  expect(await failed.ended).toMatchObject({ code: status.DATA_LOSS });
  expect(failed.texts()).toEqual(["one", "two"]);
  await until("it is recorded", async () => (await kinds()).length === 2);
  expect((await outcome()).code).toBe(status.DATA_LOSS);
  for (const texts of [["only"], []]) {
    handler = (call) => {
      for (const text of texts) call.write(Buffer.from(text));
      call.end();
    };
    const asked = ask();
    expect(await asked.ended).toMatchObject({ code: status.OK });
    expect(asked.texts()).toEqual(texts);
  }
});

test("a long stream reaches its caller whole; the journal keeps its digest, and memory is given back", async () => {
  journaled({ ...before, responseBytesMax: 128 * 1024 });
  const message = Buffer.alloc(64 * 1024, "m");
  handler = (call) => {
    for (let at = 0; at < 160; at += 1) call.write(message);
    call.end();
  };
  const { got, ended } = ask();
  expect(await ended).toMatchObject({ code: status.OK });
  expect(got.reduce((sum, { length }) => sum + length, 0)).toBe(160 * message.length);
  await until("it is recorded", async () => (await kinds()).length === 2);
  expect(await outcome()).toMatchObject({ code: 0, response: undefined, responseBytes: 160 * (message.length + 5) });
  await eventually("nothing is under way", () => journal.open === 0);
  expect(journal.room.bytes).toBe(0);
});

test("a caller that goes away between two answers leaves the write, whose outcome is recorded", async () => {
  journaled(before);
  const { call, texts } = ask();
  await eventually("the application has the call", () => calls.length === 1);
  for (const text of ["one", "two"]) calls[0]?.write(Buffer.from(text));
  await eventually("two came", () => texts().length === 2);
  call.cancel();
  await eventually("the call has ended", () => pair.callee.metrics.open === 0);
  calls[0]?.write(Buffer.from("three"));
  calls[0]?.end();
  await until("it is recorded", async () => (await kinds()).length === 2);
  expect(messagesOf((await outcome()).response)).toEqual(["one", "two", "three"]);
});

test("mode after: answers come as they are sent, and the status once the entry is stored", async () => {
  journaled({ ...before, mode: "after" });
  const { texts, ended } = ask();
  await eventually("the application has the call", () => calls.length === 1);
  for (const text of ["one", "two"]) calls[0]?.write(Buffer.from(text));
  await eventually("two came", () => texts().length === 2);
  expect(await kinds()).toEqual([]);
  calls[0]?.end();
  expect(await ended).toMatchObject({ code: status.OK });
  const [stored] = await nats.stored();
  const key = parseJournalSubject(stored?.subject ?? "")?.key ?? "";
  const entry = parseEntry(stored?.data ?? new Uint8Array(), undefined, key);
  expect(messagesOf(entry.outcome?.response)).toEqual(["one", "two"]);
});
