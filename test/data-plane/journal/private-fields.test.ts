/** Private fields of writes: applications get them, what is stored has them for their holder alone. */
import { generateKeyPairSync } from "node:crypto";
import { type handleUnaryCall, Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { ensureKeys } from "../../../control-plane/journal/key-streams.js";
import { subjectTokenOf } from "../../../core/journal/journal-key.js";
import { restorePart } from "../../../core/journal/private/restore.js";
import type { Journal } from "../../../core/kinds/journal/journal.js";
import { parseEntry } from "../../../core/wire/journal/entry.js";
import { parseOutcome } from "../../../core/wire/journal/outcome.js";
import { parseDataKey } from "../../../core/wire/journal/private.js";
import { journalKeySubject, journalKeysStream, parseJournalSubject } from "../../../core/wire/subjects.js";
import { testHolder } from "../../support/holder.js";
import { JournalNats } from "../../support/journal-nats.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { ProxyPair } from "../../support/proxy-pair.js";

const method = "test.Bytes/Unary";
const subject = 'request.headers["x-account"]';
const hidden = (...fields: readonly string[]) => ({ subject, holder: testHolder.publicKey, fields });
const plain = { mode: "before", response: "bytes" } as const;
const keyed = { ...plain, idempotencyKey: 'request.headers["idempotency-key"]' } as const;
const otherHolder = generateKeyPairSync("x25519").publicKey.export({ format: "der", type: "spki" }).toString("base64");
type Written = Partial<Journal> & Pick<Journal, "mode" | "response">;

let nats: JournalNats;
let pair: ProxyPair;
let got: string[];
let handler: handleUnaryCall<Buffer, Buffer>;

/** A message with a name in field 1 and an amount in field 2. */
const pay = (name: string, amount: number): Buffer =>
  Buffer.concat([Buffer.from([10, name.length]), Buffer.from(name), Buffer.from([16, amount])]);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

function use(written: Written): void {
  const journal = { idempotencyKey: undefined, orderBy: undefined, ...written };
  pair.callee.policy.switchTo(buildPolicy(3, [{ service: "bytes", allow: [everyone], journal }]));
  pair.callee.journal = nats.open(pair.callee.policy, "p1");
}

function write(request: Buffer, key = "k1", account = "a") {
  const metadata = new Metadata();
  if (account !== "") metadata.set("x-account", account);
  metadata.set("idempotency-key", key);
  return pair.client().unary(request, metadata);
}

async function keys() {
  const nextOf = journalKeySubject("bytes", "*", "*");
  const found = [];
  for (let from = 1; ; from = (found.at(-1)?.sequence ?? 0) + 1) {
    const next = await nats.bus.leaderGet(journalKeysStream("bytes"), { nextOf, from });
    if (next === undefined) return found;
    found.push(next);
  }
}

async function records() {
  const stored = await nats.stored();
  const of = (kind: string) => stored.filter((one) => parseJournalSubject(one.subject)?.kind === kind);
  const entries = of("entry").map(({ data, subject: at }) => parseEntry(data, undefined, at.split(".").at(-1) ?? ""));
  return { stored, entries, outcomes: of("outcome").map(({ data }) => parseOutcome(data, undefined)) };
}

beforeEach(async () => {
  nats = await JournalNats.start("bytes");
  await ensureKeys(nats.bus, { service: "bytes", hasPrivate: true }, 1);
  got = [];
  handler = (_call, done) => done(null, pay("grace", 9));
  pair = await ProxyPair.start({
    Unary: (call, done) => {
      got.push(hex(call.request));
      handler(call, done);
    },
    ClientStream: (call, done) => {
      call.on("data", (message: Buffer) => got.push(hex(message)));
      call.on("end", () => done(null, pay("grace", 9)));
    },
  });
});

afterEach(async () => {
  pair.stop();
  await nats.stop();
});

test.each(["before", "after"] as const)(
  "mode %s: nothing private is stored in clear, and the holder reads it",
  async (mode) => {
    use({ ...plain, mode, private: hidden(`${method} request.1`, `${method} response.1`) });
    const answer = await write(pay("ada-lovelace", 7));
    expect([got, hex(answer.response ?? Buffer.alloc(0))]).toEqual([
      [hex(pay("ada-lovelace", 7))],
      hex(pay("grace", 9)),
    ]);
    let { stored, entries, outcomes } = await records();
    while (mode === "before" && outcomes.length === 0) ({ stored, entries, outcomes } = await records());
    const [entry] = entries;
    const outcome = outcomes[0] ?? entry?.outcome;
    for (const { data } of stored) expect(Buffer.from(data).toString("latin1")).not.toMatch(/lovelace|grace/);
    expect(hex(entry?.request ?? pay("", 0))).toBe("00000000021007");
    expect(hex(outcome?.response ?? pay("", 0))).toBe("00000000021009");
    const [key] = await keys();
    if (entry === undefined || outcome?.response === undefined || key === undefined) throw new Error("all are there");
    const parts = {
      ...{ nonce: entry.nonce, request: entry.private, response: outcome.private },
      key: parseDataKey(key.data),
    };
    expect(hex(Buffer.from(restorePart(entry.request, "request", parts, testHolder.key)))).toBe(`0000000010${got[0]}`);
    expect(hex(Buffer.from(restorePart(outcome.response, "response", parts, testHolder.key)))).toBe(
      `0000000009${hex(pay("grace", 9))}`,
    );
    expect(restorePart(entry.request, "request", { ...parts, key: undefined }, testHolder.key)).toBe("shredded");
  },
);

test("a subject has one data key of a proxy, other subjects have others, and methods without private fields none", async () => {
  use({ ...plain, private: hidden(`${method} request.1`) });
  for (const [account, times] of [
    ["a", 3],
    ["b", 1],
  ] as const)
    for (let time = 0; time < times; time += 1)
      expect((await write(pay("ada", 7), "k", account)).error).toBeUndefined();
  expect(await keys()).toHaveLength(2);
  use({ ...plain, private: hidden("test.Bytes/Other request.1") });
  expect((await write(pay("ada", 7), "k", "")).error).toBeUndefined();
  expect(await keys()).toHaveLength(2);
});

test("where policy names no holder, that of the trust log reads what is written from then on; without one nothing is", async () => {
  const fields = [`${method} request.1`];
  use({ ...plain, private: { subject, fields } });
  expect((await write(pay("ada", 7))).error).toMatchObject({
    code: status.UNAVAILABLE,
    details: expect.stringContaining("nobody holds the key of its private fields yet"),
  });
  expect([got, (await nats.stored()).length]).toEqual([[], 0]);
  const holders = [testHolder.publicKey, otherHolder];
  for (const publicKey of holders) {
    nats.holder = { publicKey, sinceMs: 1 };
    expect((await write(pay("ada", 7))).error).toBeUndefined();
  }
  expect((await keys()).map(({ data }) => parseDataKey(data).holder)).toEqual(holders);
  use({ ...plain, private: { subject, fields, holder: testHolder.publicKey } });
  expect((await write(pay("ada", 7))).error).toBeUndefined();
  expect(parseDataKey((await keys()).at(-1)?.data ?? new Uint8Array()).holder).toBe(testHolder.publicKey);
});

test("the request says whom it is about: one data key a subject, 3 where it names nobody, and the field stays in clear", async () => {
  nats.holder = { publicKey: testHolder.publicKey, sinceMs: 1 };
  use({ ...plain, private: { subjects: [`${method} request.2 int32`], fields: [`${method} request.1`] } });
  for (const account of [7, 7, 8]) expect((await write(pay("ada", account), "k", "")).error).toBeUndefined();
  const { entries } = await records();
  expect(entries.map(({ request }) => hex(request))).toEqual(["00000000021007", "00000000021007", "00000000021008"]);
  const tokens = ["7", "7", "8"].map((text) => subjectTokenOf("bytes", text));
  expect(entries.map((entry) => entry.private?.subject)).toEqual(tokens);
  expect(await keys()).toHaveLength(2);
  got = [];
  expect((await write(Buffer.from([10, 3, 97, 100, 97]), "k", "a")).error).toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: expect.stringContaining("is empty: field 2 of the request names nobody"),
  });
  expect([got, (await records()).entries.length]).toEqual([[], 3]);
});

test("a repeat at another proxy is told by its keyed digest from another request", async () => {
  use({ ...keyed, private: hidden(`${method} request.1`) });
  const first = await write(pay("ada", 7));
  expect(first.error).toBeUndefined();
  pair.callee.journal = nats.open(pair.callee.policy, "p2");
  const again = await write(pay("ada", 7));
  expect([again.error, again.response]).toEqual([undefined, first.response]);
  expect((await write(pay("eve", 7))).error).toMatchObject({ code: status.FAILED_PRECONDITION });
  expect(got).toHaveLength(1);
});

test("once its subject was shredded nobody reads it, and a repeat is not applied again", async () => {
  use({ ...keyed, private: hidden(`${method} request.1`) });
  expect((await write(pay("ada", 7))).error).toBeUndefined();
  for (const { sequence } of await keys()) await nats.bus.eraseMessage(journalKeysStream("bytes"), sequence);
  expect(await keys()).toEqual([]);
  pair.callee.journal = nats.open(pair.callee.policy, "p2");
  expect((await write(pay("ada", 7))).error).toMatchObject({ code: status.UNAVAILABLE });
  expect(got).toHaveLength(1);
}, 20_000);

test("writes of an order key go on after one whose subject was shredded", async () => {
  use({ ...keyed, orderBy: subject, private: hidden(`${method} request.1`) });
  for (const key of ["k1", "k2"]) expect((await write(pay("ada", 7), key)).error).toBeUndefined();
  for (const { sequence } of await keys()) await nats.bus.eraseMessage(journalKeysStream("bytes"), sequence);
  pair.callee.journal = nats.open(pair.callee.policy, "p2");
  expect((await write(pay("ada", 8), "k3")).error).toBeUndefined();
  expect(got).toHaveLength(3);
});

test.each([
  ["there is no stream for its key", async () => nats.bus.deleteStream(journalKeysStream("bytes"))],
  [
    "that stream is full",
    async () => {
      const info = await nats.bus.streamInfo(journalKeysStream("bytes"));
      if (info !== undefined) await nats.bus.updateStream({ ...info.spec, maxBytes: 100 });
    },
  ],
])(
  "a write is answered 14, and neither stored nor forwarded, if %s",
  async (_why, spoil) => {
    use({ ...plain, private: hidden(`${method} request.1`) });
    await spoil();
    const { error } = await write(pay("ada", 7));
    expect(error).toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringMatching(/private fields cannot be stored/),
    });
    expect([got, (await records()).stored]).toEqual([[], []]);
  },
  20_000,
);

test.each(["before", "after"] as const)(
  "mode %s: messages of a stream are stored once they are cut out",
  async (mode) => {
    const field = "test.Bytes/ClientStream request.1";
    use({ ...plain, mode, streamBytesMax: 512 * 1024, bidirectional: ["*"], private: hidden(field) });
    const metadata = new Metadata();
    metadata.set("x-account", "a");
    const error = await new Promise((resolve) => {
      const call = pair.client().clientStream(resolve, metadata);
      for (const name of ["ada", "eve"]) call.write(pay(name, 7));
      call.end();
    });
    expect(error).toBeNull();
    expect(got).toEqual([hex(pay("ada", 7)), hex(pay("eve", 7))]);
    const { stored, entries } = await records();
    for (const { data } of stored) expect(Buffer.from(data).toString("latin1")).not.toMatch(/ada|eve/);
    expect(entries.map(({ request }) => hex(request))).toEqual(["00000000021007".repeat(2)]);
  },
);

test("a write without a subject is answered 3", async () => {
  use({ ...plain, private: hidden(`${method} request.1`) });
  const { error } = await write(pay("ada", 7), "k", "");
  expect(error).toMatchObject({ code: status.INVALID_ARGUMENT, details: expect.stringMatching(/subject of private/) });
  expect(got).toEqual([]);
});
