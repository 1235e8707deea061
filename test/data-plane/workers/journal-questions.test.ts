/** A worker's way to the journal, over the first process. */
import { beforeEach, expect, test } from "@jest/globals";
import { journalSpec } from "../../../control-plane/journal/journal-streams.js";
import { ensureKeys } from "../../../control-plane/journal/key-streams.js";
import { statementHeader } from "../../../core/wire/statement.js";
import { journalKeySubject, journalKeysStream, journalStream, journalSubject } from "../../../core/wire/subjects.js";
import {
  answerJournal,
  type JournalQuestion,
  journalQuestionsMax,
  WorkerJournalBus,
} from "../../../data-plane/workers/journal-questions.js";
import type { Bus } from "../../../runtime/bus.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";

let bus: Bus;
let worker: WorkerJournalBus;
const stream = journalStream("ledger");
const subject = journalSubject("ledger", "entry", "u");
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

beforeEach(async () => {
  bus = new MemoryBroker().connect();
  for (const service of ["ledger", "shop"])
    await bus.createStream(journalSpec({ service, rememberMs: 0 }, { maxBytes: 1e9, replicas: 1 }));
  worker = new WorkerJournalBus((what) => answerJournal(bus, "ledger", structuredClone(what)).then(structuredClone));
});

test("appends and reads as a process with NATS does", async () => {
  const headers = { "Nats-Msg-Id": "one", [statementHeader]: "said" };
  expect(await worker.append(subject, bytes("first"), { headers })).toBe(1);
  let isDuplicate = false;
  const onDuplicate = (): void => {
    isDuplicate = true;
  };
  expect(await worker.append(subject, bytes("again"), { headers, onDuplicate })).toBe(1);
  expect(isDuplicate).toBe(true);
  for (const query of [{ sequence: 1 }, { lastOf: subject }, { nextOf: subject, from: 1 }]) {
    const found = await worker.directGet(stream, query);
    expect(found).toMatchObject({ sequence: 1, data: bytes("first"), origin: { subject } });
    expect([found?.header(statementHeader), found?.header("Nats-Msg-Id")]).toEqual(["said", undefined]);
    expect(found?.storedMs).toBe((await bus.directGet(stream, query))?.storedMs);
  }
  expect(await worker.directGet(stream, { sequence: 2 })).toBeUndefined();
});

test("reaches entries and outcomes of its own service alone", async () => {
  for (const other of [
    journalSubject("shop", "entry", "u"),
    journalSubject("ledger", "resolution", "u"),
    "ashlar.journal.ledger.seal",
    "ashlar.journal.ledgerx.entry.u",
    journalKeySubject("shop", "a", "b"),
    "ashlar.journalkey.ledgerx.a.b",
    "ashlar.journalkey.ledger.*.>",
  ])
    await expect(worker.append(other, bytes("x"))).rejects.toMatchObject({ code: "denied" });
  await bus.append(journalSubject("shop", "entry", "u"), bytes("theirs"));
  expect(await worker.directGet(journalStream("shop"), { sequence: 1 })).toBeUndefined();
});

test("writes and reads data keys of its own service", async () => {
  await ensureKeys(bus, { service: "ledger", hasPrivate: true }, 1);
  const at = journalKeySubject("ledger", "a".repeat(32), "b".repeat(32));
  expect(await worker.append(at, bytes("key"))).toBe(1);
  expect((await worker.directGet(journalKeysStream("ledger"), { lastOf: at }))?.data).toEqual(bytes("key"));
  expect(await worker.directGet(stream, { lastOf: at })).toBeUndefined();
});

test("failures come over as they are, and more questions than there is room for are not asked", async () => {
  const asked: JournalQuestion[] = [];
  const silent = new WorkerJournalBus((what) => {
    asked.push(what);
    return new Promise(() => {});
  });
  for (let each = 0; each < journalQuestionsMax; each += 1) void silent.directGet(stream, { sequence: each + 1 });
  await expect(silent.append(subject, bytes("x"))).rejects.toMatchObject({ code: "unavailable" });
  expect(asked).toHaveLength(journalQuestionsMax);
});
