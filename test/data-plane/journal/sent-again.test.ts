/** Entries whose outcome nobody knows, of methods that may be carried out twice. */
import { type handleUnaryCall, Metadata, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { digestOf } from "../../../core/digest.js";
import { parseJournalSubject } from "../../../core/wire/subjects.js";
import { JournalNats } from "../../support/journal-nats.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";
import { until } from "../../support/until.js";

const journal = {
  mode: "before",
  response: "bytes",
  idempotencyKey: 'request.headers["idempotency-key"]',
  orderBy: 'request.headers["x-account"]',
} as const;

let nats: JournalNats;
let pair: ProxyPair;
let got: { readonly text: string; readonly sequence: string; readonly caller: string; readonly note: string }[];
let handler: handleUnaryCall<Buffer, Buffer>;
/** Ends the first call at the application, which it has for as long as a test wants. */
let answerFirst: () => void;

function headers(key: string): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of [
    ["idempotency-key", key],
    ["x-account", "a"],
    ["x-note", "as it was"],
  ] as const)
    metadata.set(name, value);
  return metadata;
}

async function outcomes(): Promise<number> {
  return (await nats.stored()).filter(({ subject }) => parseJournalSubject(subject)?.kind === "outcome").length;
}

const idempotent = (methods: readonly string[]) =>
  pair.callee.policy.switchTo(buildPolicy(3, [{ service: "bytes", allow: [everyone], journal, idempotent: methods }]));

beforeEach(async () => {
  nats = await JournalNats.start("bytes");
  got = [];
  handler = (_call, done) => {
    answerFirst = () => done(null, Buffer.from("late"));
  };
  pair = await ProxyPair.start({
    Unary: (call, done) => {
      const said = (name: string): string => String(call.metadata.get(name)[0] ?? "");
      const [sequence, caller, note] = [said("ashlar-sequence"), said("ashlar-caller"), said("x-note")];
      got.push({ text: call.request.toString(), sequence, caller, note });
      handler(call, done);
    },
  });
  pair.callee.journal = nats.open(pair.callee.policy, "p1");
  idempotent(["*"]);
  void pair.client().unary(Buffer.from("pay 7"), headers("k1"), { deadline: Date.now() + 60_000 });
  await eventually("the application has it", () => got.length === 1);
  handler = (call, done) => done(null, Buffer.from(`applied ${call.request}`));
});

afterEach(async () => {
  pair.stop();
  await nats.stop();
});

test("a repeat of its key has the proxy's next life send it again, as it was, under its sequence, and record what came of it", async () => {
  pair.callee.journal = nats.open(pair.callee.policy, "p1");
  const again = await pair.client().unary(Buffer.from("pay 7"), headers("k1"));
  expect(again).toMatchObject({ error: undefined, response: Buffer.from("applied pay 7") });
  expect(again.trailers.get("ashlar-sequence")).toEqual(["1"]);
  expect(got).toHaveLength(2);
  expect(got[1]).toEqual(got[0]);
  expect(await outcomes()).toBe(1);
  expect((await pair.client().unary(Buffer.from("pay 7"), headers("k1"))).response).toEqual(again.response);
  expect(got).toHaveLength(2);
});

test("the next write of its order key waits until it was sent again, and comes after it", async () => {
  pair.callee.journal = nats.open(pair.callee.policy, "p1");
  const writes = ["k2", "k3"].map((key) => pair.client().unary(Buffer.from(key), headers(key)));
  for (const { error } of await Promise.all(writes)) expect(error).toBeUndefined();
  expect(got.map(({ text }) => text).slice(0, 2)).toEqual(["pay 7", "pay 7"]);
  expect(got.map(({ sequence }) => Number(sequence))).toEqual(
    got.map(({ sequence }) => Number(sequence)).sort((a, b) => a - b),
  );
  expect(got).toHaveLength(4);
});

test("what was recorded meanwhile counts, and nothing is sent", async () => {
  const [entry] = await nats.stored();
  const key = entry?.subject.split(".").at(-1) ?? "";
  await nats.settle("p1", key, { entry: 1, entryDigest: digestOf(entry?.data ?? Buffer.alloc(0)), code: 9 });
  pair.callee.journal = nats.open(pair.callee.policy, "p1");
  const again = await pair.client().unary(Buffer.from("pay 7"), headers("k1"));
  expect(again.error).toMatchObject({ code: status.FAILED_PRECONDITION });
  expect(got).toHaveLength(1);
});

test.each([
  ["the method is not declared idempotent any more", "p1", ["other.Service/*"]],
  ["another proxy wrote it, which alone can record its outcome", "p2", ["*"]],
] as const)("it is not sent again where %s", async (_why, proxy, methods) => {
  idempotent(methods);
  pair.callee.journal = nats.open(pair.callee.policy, proxy);
  const deadline = { deadline: Date.now() + 1500 };
  const again = await pair.client().unary(Buffer.from("pay 7"), headers("k1"), deadline);
  expect(again.error).toBeDefined();
  expect(got).toHaveLength(1);
  expect(await outcomes()).toBe(0);
});

test("what the process that was taken over still carries is not sent beside it, and counts as it ends there", async () => {
  pair.callee.journal = nats.open(pair.callee.policy, "p1", nats.bus, { tookOver: true });
  const next = pair.client().unary(Buffer.from("k2"), headers("k2"));
  await until("it waits behind that one", async () => (await nats.stored()).length >= 2);
  answerFirst();
  expect((await next).error).toBeUndefined();
  expect(got.map(({ text }) => text)).toEqual(["pay 7", "k2"]);
  const again = await pair.client().unary(Buffer.from("pay 7"), headers("k1"));
  expect(again.response).toEqual(Buffer.from("late"));
});
