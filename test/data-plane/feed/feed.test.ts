/** The event feed over real proxies and a real nats-server, read with the SDK. */
import { type handleUnaryCall, Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { digestOf } from "../../../core/digest.js";
import type { Journal } from "../../../core/kinds/journal/journal.js";
import { keyIdOf, publicKeyFromBytes } from "../../../core/signature.js";
import { signResolution } from "../../../core/wire/journal/resolution.js";
import { journalSubject, parseJournalSubject } from "../../../core/wire/subjects.js";
import { systemClock } from "../../../runtime/clock.js";
import { type EventOptions, type MeshEvent, openEventFeed } from "../../../sdk/events.js";
import { JournalNats } from "../../support/journal-nats.js";
import { buildPolicy, everyone, mesh } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";
import { createTestKey, testMesh } from "../../support/records.js";

const ordered: Omit<Journal, "kind" | "name" | "service"> = {
  mode: "before",
  response: "bytes",
  idempotencyKey: 'request.headers["idempotency-key"]',
  orderBy: 'request.headers["x-account"]',
  methods: ["test.Bytes/Unary"],
  readers: ["shop"],
};
const text = { requestDeserialize: String, responseDeserialize: String };
const unary = { path: "/test.Bytes/Unary", ...text };

let nats: JournalNats;
let pair: ProxyPair;
let handler: handleUnaryCall<Buffer, Buffer>;
const left = new AbortController();
const key = createTestKey();

function journaled(journal: Partial<typeof ordered> = {}, deny: readonly { from: string[]; methods: string[] }[] = []) {
  const unit = { service: "bytes", allow: [everyone], deny, journal: { ...ordered, ...journal } };
  pair.callee.policy.switchTo(buildPolicy((pair.callee.policy.current?.revision ?? 1) + 1, [unit]));
}

let keyNumber = 0;
async function write(account: string, body: string, headers: Readonly<Record<string, string>> = {}) {
  const metadata = new Metadata();
  const all = { "x-account": account, "idempotency-key": `k${++keyNumber}`, ...headers };
  for (const [name, value] of Object.entries(all)) metadata.set(name, value);
  return pair.client().unary(Buffer.from(body), metadata);
}

const feedOf = (options: EventOptions = {}) =>
  openEventFeed({ clock: systemClock, outbound: `unix:${pair.dir}/out.sock`, left: left.signal }, "bytes", options);

/** The first so many events. */
async function take(count: number, options: EventOptions = {}): Promise<readonly MeshEvent[]> {
  const events: MeshEvent[] = [];
  for await (const event of feedOf(options)) if (events.push(event) >= count) break;
  return events;
}

const bodies = (events: readonly MeshEvent[]) => events.map((event) => event.as(unary)?.request);
const failure = async (options: EventOptions = {}) => {
  const error: unknown = await take(1, options).catch((error: unknown) => error);
  return error as { code: string; message: string };
};

beforeEach(async () => {
  nats = await JournalNats.start("bytes", undefined, undefined, false);
  handler = (call, done) => done(null, Buffer.from(`applied ${call.request}`));
  pair = await ProxyPair.start({ Unary: (call, done) => handler(call, done) });
  pair.callee.journal = nats.open(pair.callee.policy, "p1");
  pair.callee.feed = {
    instance: "feed",
    target: { path: await nats.feed(pair.dir, new Map([[keyIdOf(key.publicKey), publicKeyFromBytes(key.publicKey)]])) },
  };
  journaled();
});

afterEach(async () => {
  pair.stop();
  await nats.stop();
});

test("events come in order with their outcome, go on where they were left, and new ones follow", async () => {
  await write("a", "1");
  handler = (_, done) => done({ code: status.FAILED_PRECONDITION, details: "no money: 100 %" });
  await write("b", "2");
  const [first, second] = await take(2);
  expect(first).toMatchObject({ sequence: 1, position: 2, next: 3, order: "a", method: "test.Bytes/Unary", code: 0 });
  expect(first?.as(unary)).toEqual({ request: "1", response: "applied 1" });
  expect(first?.as({ ...unary, path: "/test.Bytes/Other" })).toBeUndefined();
  expect(first?.caller).toBe(`spiffe://${mesh}/service/shop`);
  expect(second).toMatchObject({
    sequence: 3,
    position: 4,
    code: status.FAILED_PRECONDITION,
    message: "no money: 100 %",
  });
  expect(second?.as(unary)).toEqual({ request: "2", response: undefined });
  const later = take(2, { from: first?.next ?? 0 });
  await write("a", "3");
  expect(bodies(await later)).toEqual(["2", "3"]);
});

test("only the order keys that are asked for, and the feed says how far it has come without an event", async () => {
  const feed = feedOf({ keys: ["b"] });
  const seen: unknown[] = [];
  const reading = (async () => {
    for await (const event of feed) if (seen.push(event.as(unary)?.request) >= 2) break;
  })();
  await write("a", "1");
  await eventually("it passed what it was not asked for", () => feed.next === 3);
  await write("b", "2");
  await write("a", "3");
  await write("b", "4");
  await reading;
  expect(seen).toEqual(["2", "4"]);
});

test("void and unresolved writes are no events, nor what was never forwarded; what an operator settled is told so", async () => {
  await write("a", "1");
  await write("a", "void", { "ashlar-expected-sequence": "0" });
  let isLost = false;
  handler = () => {
    isLost = true;
  };
  void write("b", "lost");
  await eventually("the application has it", () => isLost);
  handler = (call, done) => done(null, Buffer.from(`applied ${call.request}`));
  await write("c", "2");
  const [first, second] = await take(2);
  expect(bodies([first, second] as MeshEvent[])).toEqual(["1", "2"]);
  await resolve("lost", "applied");
  const [resolved] = await take(1, { from: second?.next ?? 0 });
  expect(resolved).toMatchObject({ code: 0, resolved: true, responseKept: false, order: "b" });
  expect(resolved?.as(unary)).toEqual({ request: "lost", response: undefined });
});

/** An operator's word about the entry with this request. */
async function resolve(body: string, outcome: "applied" | "not-applied"): Promise<void> {
  const stored = (await nats.stored()).find(({ data }) => Buffer.from(data).includes(body));
  const place = parseJournalSubject(stored?.origin?.subject ?? "");
  if (stored === undefined || place === undefined) throw new Error("no such entry");
  const about = { service: "bytes", entry: stored.sequence, entryDigest: digestOf(stored.data), outcome };
  const said = { ...about, code: 0, message: "", operator: "o", reason: "r", timeMs: 1 };
  const { bytes } = signResolution(said, testMesh, key.signer);
  await nats.bus.append(journalSubject("bytes", "resolution", place.key), bytes);
}

test("I10: only readers follow, whatever else they may call, and one that is removed is cut off", async () => {
  journaled({ readers: ["other"] });
  expect(await failure()).toMatchObject({ code: "denied" });
  journaled({}, [{ from: ["shop"], methods: ["ashlar.v1.JournalFeedService/Follow"] }]);
  expect(await failure()).toMatchObject({ code: "denied" });
  journaled();
  await write("a", "1");
  const reading = take(2).catch((error: unknown) => error);
  await eventually("it is open", () => pair.callee.metrics.open === 1);
  journaled({ readers: ["other"] });
  expect(await reading).toMatchObject({ code: "denied" });
});

test("a position that is no longer kept, and one beyond the end, are refused with what to do", async () => {
  for (const body of ["1", "2", "3"]) await write("a", body);
  await nats.dropBefore(5);
  expect(bodies(await take(1))).toEqual(["3"]);
  expect(await failure({ from: 2 })).toMatchObject({ code: "stale", message: expect.stringMatching(/begin at 5/) });
  expect(await failure({ from: 90 })).toMatchObject({
    code: "stale",
    message: expect.stringMatching(/beyond the journal's end, which is 6/),
  });
  expect(() => feedOf({ from: -1 })).toThrow(/from is a position/);
}, 30_000);

test("a reader that does not read holds little, and gets everything when it goes on", async () => {
  const body = "x".repeat(100_000);
  for (let write_ = 0; write_ < 30; write_ += 1) await write("a", `${write_} ${body}`);
  const seen: (string | undefined)[] = [];
  for await (const event of feedOf()) {
    if (seen.length === 0) await write("b", "meanwhile");
    seen.push(event.as(unary)?.request.split(" ")[0]);
    if (seen.length === 31) break;
  }
  expect(seen).toEqual([...Array.from({ length: 30 }, (_, at) => String(at)), "meanwhile"]);
}, 60_000);

test("a copy of a write that holds its outcome, appended by a thief of the proxy's credential, is no second event", async () => {
  journaled({ mode: "after", idempotencyKey: undefined, orderBy: undefined });
  await write("a", "pay 7");
  const [original] = (await nats.stored()).slice(-1);
  if (original === undefined) throw new Error("the write is stored");
  const statement = original.header("Ashlar-Statement") ?? "";
  await nats.bus.append(original.subject, original.data, { headers: { "Ashlar-Statement": statement } });
  await write("a", "pay 8");
  expect(bodies(await take(2))).toEqual(["pay 7", "pay 8"]);
});
