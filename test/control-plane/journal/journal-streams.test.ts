/** Streamed writes, to who reads, verifies and lets go of a journal. */
import { expect, test } from "@jest/globals";
import { createJournalReader } from "../../../control-plane/journal/journal-reader.js";
import { retainJournal } from "../../../control-plane/journal/journal-retainer.js";
import { JournalSealer, readJournal, sealedOf } from "../../../control-plane/journal/journal-sealer.js";
import { journalSpec } from "../../../control-plane/journal/journal-streams.js";
import { digestOf } from "../../../core/digest.js";
import { buildSpiffeId } from "../../../core/identity.js";
import { parseJournalLine, renderJournalLine } from "../../../core/journal/journal-file.js";
import { journalKey, messagesKey } from "../../../core/journal/journal-key.js";
import { type JournalMessage, JournalVerifier } from "../../../core/journal/journal-verifier.js";
import { encodeEntry, type JournalEntry, parseEntry, sameRequestDigest } from "../../../core/wire/journal/entry.js";
import type { Confirmation } from "../../../core/wire/journal/fields.js";
import { encodeMessages, parseMessages } from "../../../core/wire/journal/messages.js";
import { encodeOutcome } from "../../../core/wire/journal/outcome.js";
import { keySetOf } from "../../../core/wire/records.js";
import { statementHeader } from "../../../core/wire/statement.js";
import { journalStream, journalSubject } from "../../../core/wire/subjects.js";
import { silentLogger } from "../../../runtime/log.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";
import { buildTrust, createTestKey, testMesh } from "../../support/records.js";
import { StatementPki, writerOf } from "../../support/statements.js";

const pki = new StatementPki();
const plane = createTestKey();
const trust = { ...pki.trust, body: { ...pki.trust.body, signingKeys: buildTrust([plane]).signingKeys } };
const keys = keySetOf(trust.body);
const writer = { service: "ledger", proxyId: "p1" };
const signing = writerOf(pki.issue("ledger", "p1"));
const signal = new AbortController().signal;
const stream = journalStream("ledger");
const hourMs = 3_600_000;
let nonces = 0;

function entryOf(nonce: Buffer, parts: Partial<JournalEntry>): JournalEntry {
  return {
    ...{ ...writer, life: "ab".repeat(16), nonce, timeMs: 1000, user: "", method: "bank.Ledger/Import", revision: 3 },
    ...{ caller: buildSpiffeId(testMesh, "service", "shop"), epoch: 4, decision: "", key: "", order: "", expected: 0 },
    ...{ afterVoid: 0, deadlineMs: 0, traceId: "", fields: [], confirms: [], outcome: undefined },
    ...{ request: Buffer.alloc(0), ...parts },
  };
}

class World {
  aheadMs = 0;
  readonly bus = new MemoryBroker().connect();
  readonly clock = { nowMs: () => Date.now() + this.aheadMs };
  readonly reader = createJournalReader({
    ...{ bus: this.bus, mesh: testMesh, reader: pki.reader() },
    trust: { list: () => [trust] },
  });
  readonly sealer = new JournalSealer({
    ...{ bus: this.bus, mesh: testMesh, signer: plane.signer, keys: () => keys, clock: this.clock },
  });

  async open(): Promise<this> {
    await this.bus.createStream(journalSpec({ service: "ledger", rememberMs: 0 }, { maxBytes: 1e9, replicas: 1 }));
    return this;
  }

  #append(subject: string, body: Uint8Array): Promise<number> {
    return this.bus.append(subject, body, { headers: signing.sign("journal", body) });
  }

  /** Appends messages of a stream that nothing closes yet. */
  async begin(...texts: readonly string[]): Promise<{ readonly nonce: Buffer; readonly at: readonly Confirmation[] }> {
    nonces += 1;
    const nonce = Buffer.alloc(16, nonces);
    const at: Confirmation[] = [];
    for (const [number, text] of texts.entries()) {
      const body = encodeMessages({ ...writer, stream: nonce, number, messages: Buffer.from(text), confirms: [] });
      const sequence = await this.#append(journalSubject("ledger", "entry", messagesKey(nonce)), body);
      at.push({ sequence, digest: digestOf(body) });
    }
    return { nonce, at };
  }

  async close(begun: Awaited<ReturnType<World["begin"]>>, whole: string, parts: Partial<JournalEntry> = {}) {
    const streamed = { messages: begun.at, digest: digestOf(Buffer.from(whole)), bytes: whole.length };
    const entry = entryOf(begun.nonce, { streamed, ...parts });
    const body = encodeEntry(entry);
    const key = journalKey(entry);
    const sequence = await this.#append(journalSubject("ledger", "entry", key), body);
    const outcome = encodeOutcome({
      ...{ ...writer, timeMs: 1001, entry: sequence, entryDigest: digestOf(body), code: 0, head: [], trailers: [] },
      ...{ response: undefined, responseDigest: digestOf(Buffer.alloc(0)), responseBytes: 0, confirms: [] },
      ...{ notForwarded: false, behind: 0 },
    });
    await this.#append(journalSubject("ledger", "outcome", key), outcome);
    return sequence;
  }

  async #info() {
    const info = await this.bus.streamInfo(stream);
    if (info === undefined) throw new Error("it was made");
    return { service: "ledger", info };
  }

  async seal(): Promise<void> {
    this.aheadMs += 120_000;
    await this.sealer.look(await this.#info(), signal);
  }

  async stored(): Promise<readonly JournalMessage[]> {
    const { info } = await this.#info();
    const all: JournalMessage[] = [];
    for await (const message of readJournal(this.bus, "ledger", 1, info.lastSequence, signal))
      all.push(sealedOf(message));
    return all;
  }

  async verify(messages: readonly JournalMessage[]) {
    const reader = pki.reader();
    const verifier = new JournalVerifier({
      ...{ service: "ledger", mesh: testMesh, keys },
      writerOf: ({ data, statement, storedMs }) => {
        const header = (name: string) => (name === statementHeader ? statement : undefined);
        return reader.readJournal("ledger", { data, header }, storedMs).writer;
      },
    });
    for (const message of messages) verifier.add(message);
    return verifier.finish(await this.sealer.endOf(await this.#info(), signal));
  }

  plan() {
    const options = { service: "ledger", through: 0, untilMs: 0, reason: "", dryRun: true };
    const deps = {
      ...{ mesh: testMesh, journalReader: this.reader, journalSealer: this.sealer, signer: plane.signer },
      ...{ audit: { record: async () => {} }, log: silentLogger },
      clock: { ...this.clock, monotonicMs: () => 0, sleep: async () => {} },
      access: { bus: this.bus, once: () => Promise.reject(new Error("nothing is done")) },
    };
    const caller = { id: buildSpiffeId(testMesh, "operator", "ann"), source: "", certificateSerial: "" };
    return retainJournal(deps as unknown as Parameters<typeof retainJournal>[0], options, caller, signal);
  }
}

test("records of a stream are read as they were written; a closing record says all of its messages and none itself", () => {
  const stream = Buffer.alloc(16, 7);
  const body = { ...writer, stream, number: 3, messages: Buffer.from("frames"), confirms: [] };
  const bytes = encodeMessages(body);
  expect(encodeMessages(parseMessages(bytes, writer, messagesKey(stream)))).toEqual(bytes);
  expect(() => parseMessages(bytes, writer, "m000")).toThrow(/another stream/);
  expect(() => parseMessages(bytes, { ...writer, proxyId: "p2" }, messagesKey(stream))).toThrow(
    /not that of the proxy/,
  );
  const at = (sequence: number) => ({ sequence, digest: digestOf(bytes) });
  const streamed = { messages: [at(3), at(5)], digest: digestOf(Buffer.from("whole")), bytes: 5 };
  const closing = entryOf(stream, { streamed });
  const read = (entry: JournalEntry) => parseEntry(encodeEntry(entry), writer, journalKey(entry));
  expect(read(closing).streamed).toEqual(streamed);
  expect(sameRequestDigest(closing)).toBe(sameRequestDigest({ order: "", request: Buffer.from("whole") }));
  expect(() => read({ ...closing, request: Buffer.from("more") })).toThrow(/no messages/);
  expect(() => read(entryOf(stream, { streamed: { ...streamed, messages: [at(5), at(3)] } }))).toThrow(/their order/);
  expect(() => read(entryOf(stream, { streamed: { ...streamed, messages: [] } }))).toThrow(/says more/);
});

test("a stream is one entry, at the place of its closing record; messages that nothing closes are none", async () => {
  const world = await new World().open();
  const lost = await world.begin("lost");
  const begun = await world.begin("one,", "two");
  const closing = await world.close(begun, "one,two");
  const { entries, refused, unclosed } = await world.reader.read("ledger", undefined, closing);
  expect(entries).toMatchObject([{ requestBytes: 7, outcome: { code: 0 }, entry: { messagesRecords: 2 } }]);
  expect(entries[0]?.judged.sequence).toBe(closing);
  expect(Buffer.from(entries[0]?.request ?? []).toString()).toBe("one,two");
  expect(refused).toBe(0);
  expect(unclosed.map(({ first }) => first)).toEqual([lost.at[0]?.sequence]);
});

test("a message of a stream that was changed or removed is named; an exported line says what it is", async () => {
  const world = await new World().open();
  await world.begin("lost");
  const begun = await world.begin("one,", "two");
  await world.close(begun, "one,two");
  const messages = await world.stored();
  expect((await world.verify(messages)).faults).toEqual([]);
  const first = begun.at[0]?.sequence ?? 0;
  const others = messages.map((each) =>
    each.sequence === first ? { ...(messages[0] as JournalMessage), sequence: first } : each,
  );
  const { faults } = await world.verify(others);
  expect(faults.map(({ why }) => why).join()).toMatch(/closes a stream whose messages there were changed/);
  const gone = await world.verify(messages.filter(({ sequence }) => sequence !== first));
  expect(gone.faults[0]).toMatchObject({ sequence: first, why: "it is missing" });
  for (const message of messages) expect(parseJournalLine(renderJournalLine(message))).toMatchObject(message);
  expect(JSON.parse(renderJournalLine(messages[1] as JournalMessage))).toMatchObject({ kind: "messages", number: 0 });
});

test("of a stream all is let go or nothing, and one that may be closed yet stays", async () => {
  const world = await new World().open();
  await world.close(await world.begin("x"), "x"); // 1 to 3
  await world.seal(); // 4
  const begun = await world.begin("one,", "two"); // 5, 6
  await world.seal(); // 7
  world.aheadMs = hourMs;
  expect(await world.plan()).toMatchObject({
    through: 3,
    why: "the stream that begins at sequence 5 may be closed yet",
  });
  await world.close(begun, "one,two"); // 8, 9
  expect(await world.plan()).toMatchObject({ through: 3, why: "the messages of entry 8 begin at sequence 5" });
  await world.seal(); // 10, of 7 to 9
  expect(await world.plan()).toMatchObject({ entries: 2, why: "" });
  await world.begin("lost");
  world.aheadMs = 25 * hourMs;
  await world.seal();
  expect((await world.plan()).why).toBe("");
});
