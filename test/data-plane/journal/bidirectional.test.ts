/** Writes whose answers come while they are still asked, with a journal on a real nats-server. */
import { type ServerDuplexStream, status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { AshlarError } from "../../../core/errors.js";
import { isMessagesKey } from "../../../core/journal/journal-key.js";
import type { Journal as Fields } from "../../../core/kinds/journal/journal.js";
import { type JournalEntry, parseEntry } from "../../../core/wire/journal/entry.js";
import { splitFrames } from "../../../core/wire/journal/grpc-frames.js";
import { parseMessages } from "../../../core/wire/journal/messages.js";
import { parseJournalSubject } from "../../../core/wire/subjects.js";
import type { Journal } from "../../../data-plane/journal/journal.js";
import type { Bus } from "../../../runtime/bus.js";
import { JournalNats } from "../../support/journal-nats.js";
import { buildPolicy, everyone } from "../../support/proxy-fakes.js";
import { eventually, ProxyPair } from "../../support/proxy-pair.js";

const fields: Omit<Fields, "kind" | "name" | "service"> = {
  mode: "before",
  response: "bytes",
  idempotencyKey: undefined,
  orderBy: undefined,
  bidirectional: ["test.Bytes/Bidi"],
  requestBytesMax: 2048,
};

let nats: JournalNats;
let pair: ProxyPair;
let journal: Journal;
/** What the application got, and how many records there were then. */
let got: { readonly text: string; readonly stored: readonly string[] }[];
let cancelled: number;
let appCall: ServerDuplexStream<Buffer, Buffer> | undefined;

beforeEach(async () => {
  nats = await JournalNats.start("bytes");
  [got, cancelled, appCall] = [[], 0, undefined];
  pair = await ProxyPair.start({
    Bidi: (call) => {
      appCall = call;
      call.on("data", async (message: Buffer) => {
        const stored = await records();
        got.push({ text: message.toString(), stored });
        call.write(Buffer.from(`re ${message}`));
      });
      call.on("end", () => void eventually("all is answered", () => got.length > 0).then(() => call.end()));
      call.on("cancelled", () => {
        cancelled += 1;
      });
    },
  });
  journal = nats.open(pair.callee.policy, "p1");
  pair.callee.journal = journal;
});

afterEach(async () => {
  pair.stop();
  await nats.stop();
});

function journaled(of: Partial<typeof fields>): void {
  const unit = { service: "bytes", allow: [everyone], journal: { ...fields, ...of } };
  pair.callee.policy.switchTo(buildPolicy(2, [unit]));
}

const textsOf = (framed: Uint8Array | undefined) =>
  splitFrames(framed ?? new Uint8Array())?.map(({ bytes }) => Buffer.from(bytes).toString());

/** The messages that are stored, and "entry" for each entry. */
async function records(): Promise<readonly string[]> {
  return (await nats.stored()).flatMap(({ subject, data }) => {
    const key = parseJournalSubject(subject)?.key ?? "";
    return isMessagesKey(key) ? (textsOf(parseMessages(data, undefined, key).messages) ?? []) : ["entry"];
  });
}

async function lastEntry(): Promise<JournalEntry> {
  const last = (await nats.stored()).at(-1);
  return parseEntry(last?.data ?? new Uint8Array(), undefined, parseJournalSubject(last?.subject ?? "")?.key ?? "");
}

function talk() {
  const call = pair.client().bidi();
  const answers: string[] = [];
  call.on("data", (message: Buffer) => answers.push(message.toString()));
  call.on("error", () => {});
  const ended = new Promise<{ code: number; details: string }>((resolve) => call.on("status", resolve));
  return { call, answers, ended };
}

test.each(["before", "after"] as const)(
  "mode %s: messages and answers pass one by one, the entry comes last",
  async (mode) => {
    journaled({ mode });
    const { call, answers, ended } = talk();
    for (const text of ["one", "two", "three"]) {
      call.write(Buffer.from(text));
      await eventually(`${text} is answered`, () => answers.at(-1) === `re ${text}`);
    }
    if (mode === "before") expect(got.map(({ text, stored }) => stored.includes(text))).toEqual([true, true, true]);
    expect(await records()).not.toContain("entry");
    call.end();
    expect(await ended).toMatchObject({ code: status.OK });
    expect(await records()).toEqual(["one", "two", "three", "entry"]);
    const { outcome, streamed } = await lastEntry();
    expect(streamed?.messages).toHaveLength(3);
    expect(outcome?.code).toBe(0);
    expect(textsOf(outcome?.response)).toEqual(["re one", "re two", "re three"]);
    await eventually("nothing is under way", () => journal.open === 0);
    expect(journal.room.bytes).toBe(0);
  },
);

test("an application that ends the call first is the outcome, whatever its caller still wants to send", async () => {
  journaled({});
  const { call, answers, ended } = talk();
  call.write(Buffer.from("one"));
  await eventually("it is answered", () => answers.length === 1);
  appCall?.emit("error", { code: status.OUT_OF_RANGE, details: "enough" });
  expect(await ended).toMatchObject({ code: status.OUT_OF_RANGE, details: "enough" });
  expect(await records()).toEqual(["one", "entry"]);
  expect((await lastEntry()).outcome?.code).toBe(status.OUT_OF_RANGE);
});

test("a call that is broken off, by its caller or by the bound, is no write, and the application is told", async () => {
  journaled({});
  const { call, answers, ended } = talk();
  call.write(Buffer.from("one"));
  await eventually("it is answered", () => answers.length === 1);
  for (let at = 0; at < 3; at += 1) call.write(Buffer.alloc(1000, "m"));
  expect(await ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  await eventually("the application is told", () => cancelled === 1);
  const other = talk();
  other.call.write(Buffer.from("two"));
  await eventually("it is answered", () => other.answers.length === 1);
  pair.outbound.close(); // a client of grpc-js ends its stream before it resets it, so its proxy goes
  await other.ended;
  await eventually("the application is told", () => cancelled === 2);
  await eventually("nothing is under way", () => journal.open === 0);
  expect(await records()).not.toContain("entry");
  expect(journal.room.bytes).toBe(0);
});

test("mode before: the application does not get a message that the journal refused", async () => {
  journaled({});
  let refuses = false;
  const bus: Pick<Bus, "append" | "directGet"> = {
    append: (...call) => (refuses ? Promise.reject(new AshlarError("denied", "no more")) : nats.bus.append(...call)),
    directGet: (...query) => nats.bus.directGet(...query),
  };
  pair.callee.journal = nats.open(pair.callee.policy, "p2", bus);
  const { call, answers, ended } = talk();
  call.write(Buffer.from("one"));
  await eventually("it is answered", () => answers.length === 1);
  refuses = true;
  call.write(Buffer.from("two"));
  expect(await ended).toMatchObject({ code: status.UNAVAILABLE });
  await eventually("the application is told", () => cancelled === 1);
  expect(got.map(({ text }) => text)).toEqual(["one"]);
  expect(await records()).toEqual(["one"]);
});
