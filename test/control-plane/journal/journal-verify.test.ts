/** Seals, and what verifying finds in a journal that somebody laid hands on. */
import { beforeAll, expect, test } from "@jest/globals";
import { JournalSealer, readJournal, sealEveryMs, sealedOf } from "../../../control-plane/journal/journal-sealer.js";
import { journalSpec } from "../../../control-plane/journal/journal-streams.js";
import { digestOf } from "../../../core/digest.js";
import { buildSpiffeId } from "../../../core/identity.js";
import { parseJournalLine, renderJournalLine } from "../../../core/journal/journal-file.js";
import { journalKey } from "../../../core/journal/journal-key.js";
import { type JournalMessage, type JournalVerdict, JournalVerifier } from "../../../core/journal/journal-verifier.js";
import { encodeEntry, type JournalEntry } from "../../../core/wire/journal/entry.js";
import type { Confirmation } from "../../../core/wire/journal/fields.js";
import { encodeOutcome } from "../../../core/wire/journal/outcome.js";
import { keySetOf } from "../../../core/wire/records.js";
import { statementHeader } from "../../../core/wire/statement.js";
import { splitPlace } from "../../../core/wire/statement-batch.js";
import { journalStream, journalSubject } from "../../../core/wire/subjects.js";
import { TurnSigner } from "../../../data-plane/journal/turn-signer.js";
import type { Bus } from "../../../runtime/bus.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";
import { buildTrust, createTestKey, testMesh } from "../../support/records.js";
import { StatementPki, writerOf } from "../../support/statements.js";

const pki = new StatementPki();
const [plane, second] = [createTestKey(), createTestKey()];
const keys = keySetOf(buildTrust([plane, second]));
const signing = { p1: writerOf(pki.issue("ledger", "p1")), p2: writerOf(pki.issue("ledger", "p2")) };
const stream = journalStream("ledger");
const signal = new AbortController().signal;
let nowMs = Date.now();
let nonces = 0;

type Sign = (bytes: Uint8Array) => Promise<Readonly<Record<string, string>>>;

class World {
  readonly bus = new MemoryBroker().connect();
  readonly sealer = this.sealerOf(plane);
  readonly #confirms: Confirmation[] = [];

  sealerOf({ signer }: typeof plane): JournalSealer {
    return new JournalSealer({
      bus: this.bus,
      mesh: testMesh,
      signer,
      keys: () => keys,
      clock: { nowMs: () => nowMs },
    });
  }

  async open(): Promise<this> {
    await this.bus.createStream(journalSpec({ service: "ledger", rememberMs: 0 }, { maxBytes: 1e9, replicas: 1 }));
    return this;
  }

  async write(
    proxyId: "p1" | "p2",
    order: string,
    sign: Sign = async (bytes) => signing[proxyId].sign("journal", bytes),
  ): Promise<void> {
    nonces += 1;
    const confirms = proxyId === "p1" ? this.#confirms.splice(0) : [];
    const entry: JournalEntry = {
      ...{ service: "ledger", proxyId, life: "ab".repeat(16), nonce: Buffer.alloc(16, nonces), timeMs: 1000, confirms },
      ...{ caller: buildSpiffeId(testMesh, "service", "shop"), user: "", method: "bank.Ledger/Transfer", revision: 3 },
      ...{ epoch: 4, decision: "", key: "", order, expected: 0, afterVoid: 0, deadlineMs: 0, traceId: "", fields: [] },
      ...{ request: Buffer.from("request"), outcome: undefined },
    };
    const bytes = encodeEntry(entry);
    const sequence = await this.#append(journalSubject("ledger", "entry", journalKey(entry)), bytes, sign);
    const response = Buffer.from("response");
    const outcome = encodeOutcome({
      ...{ service: "ledger", proxyId, timeMs: 1001, entry: sequence, entryDigest: digestOf(bytes), code: 0 },
      ...{ head: [], trailers: [], response, responseDigest: digestOf(response), responseBytes: response.length },
      ...{ confirms: [], notForwarded: false, behind: 0 },
    });
    await this.#append(journalSubject("ledger", "outcome", journalKey(entry)), outcome, sign);
    if (proxyId === "p1") this.#confirms.push({ sequence, digest: digestOf(bytes) });
  }

  async #append(subject: string, bytes: Uint8Array, sign: Sign): Promise<number> {
    return this.bus.append(subject, bytes, { headers: await sign(bytes) });
  }

  async found() {
    const info = await this.bus.streamInfo(stream);
    if (info === undefined) throw new Error("it was made");
    return { service: "ledger", info };
  }

  async seal(sealer = this.sealer): Promise<void> {
    await sealer.look(await this.found(), signal);
  }

  async stored(): Promise<JournalMessage[]> {
    const { info } = await this.found();
    const all: JournalMessage[] = [];
    for await (const message of readJournal(this.bus, "ledger", 1, info.lastSequence, signal))
      all.push(sealedOf(message));
    return all;
  }
}

function verify(messages: readonly JournalMessage[], end: Uint8Array | undefined): JournalVerdict {
  const reader = pki.reader();
  const verifier = new JournalVerifier({
    ...{ service: "ledger", mesh: testMesh, keys },
    writerOf: ({ data, statement, storedMs }) =>
      reader.readJournal(
        "ledger",
        { data, header: (name) => (name === statementHeader ? statement : undefined) },
        storedMs,
      ).writer,
  });
  for (const message of messages) verifier.add(message);
  return verifier.finish(end);
}

let world: World;
let messages: readonly JournalMessage[];
let end: Uint8Array;

/** Sequences: entry 1, outcome 2 (p1), 3, 4 (p2), seal 5, 6, 7 (p1), 8, 9 (p1), seal 10, 11, 12 (p2). */
beforeAll(async () => {
  world = await new World().open();
  await world.write("p1", "a");
  await world.write("p2", "b");
  await world.seal();
  for (const order of ["c", "d"]) await world.write("p1", order);
  nowMs += sealEveryMs + 1000;
  await world.seal();
  await world.write("p2", "e");
  messages = await world.stored();
  end = await world.sealer.endOf(await world.found(), signal);
});

test("an empty journal, whose first sequence is 0 by what servers say, has nothing to seal", async () => {
  const empty = await new World().open();
  const { service, info } = await empty.found();
  await empty.sealer.look({ service, info: { ...info, firstSequence: 0 } }, signal);
  expect(empty.sealer.behind("ledger")).toBe(0);
});

test("what was written holds, up to the last message", () => {
  expect(messages.map(({ subject }) => subject.split(".")[3])).toEqual([
    ...[
      "entry",
      "outcome",
      "entry",
      "outcome",
      "seal",
      "entry",
      "outcome",
      "entry",
      "outcome",
      "seal",
      "entry",
      "outcome",
    ],
  ]);
  expect(verify(messages, end)).toEqual({ messages: 12, entries: 5, seals: 3, sealedThrough: 12, faults: [] });
});

const at = (sequence: number): JournalMessage => {
  const found = messages.find((each) => each.sequence === sequence);
  if (found === undefined) throw new Error(`${sequence} is there`);
  return found;
};
const flipped = (data: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(data);
  bytes[40] = (bytes[40] ?? 0) ^ 1;
  return bytes;
};
const changed = (sequence: number, part: (message: JournalMessage) => Partial<JournalMessage>) =>
  messages.map((each) => (each.sequence === sequence ? { ...each, ...part(each) } : each));
/** The same messages as somebody numbers them who has rewritten the stream. */
const numbered = (all: readonly JournalMessage[]) => all.map((each, index) => ({ ...each, sequence: index + 1 }));

test.each<[string, () => readonly JournalMessage[], number, RegExp]>([
  [
    "an entry that was changed",
    () => changed(3, ({ data }) => ({ data: flipped(data) })),
    3,
    /no record|not what it was/,
  ],
  ["an outcome that was changed", () => changed(9, ({ data }) => ({ data: flipped(data) })), 9, /no record/],
  ["a statement that is another's", () => changed(3, () => ({ statement: at(1).statement })), 3, /no record/],
  ["a subject that was changed", () => changed(3, () => ({ subject: at(1).subject })), 3, /another key|no record/],
  ["an entry that was removed", () => messages.filter(({ sequence }) => sequence !== 6), 6, /missing/],
  [
    "several that were removed",
    () => messages.filter(({ sequence }) => sequence < 6 || sequence > 9),
    6,
    /6 to 9 are missing/,
  ],
  ["a line that was moved", () => [at(1), at(3), at(2), ...messages.slice(3)], 2, /moved or inserted/],
  [
    "two entries that changed places",
    () => numbered([at(3), at(2), at(1), ...messages.slice(3)]),
    1,
    /not what it was|moved/,
  ],
  [
    "a copy at the end of what was sealed",
    () => numbered([...messages.slice(0, 4), at(1), ...messages.slice(4)]),
    5,
    /copy of sequence 1/,
  ],
  [
    "one removed and the rest renumbered",
    () => numbered(messages.filter(({ sequence }) => sequence !== 3)),
    3,
    /not what it was|no record/,
  ],
  [
    "a seal that was removed",
    () => numbered(messages.filter(({ sequence }) => sequence !== 5)),
    6,
    /confirmed|not what/,
  ],
  ["the end that was cut off", () => messages.slice(0, 10), 11, /11 to 12 are missing: the end was cut off/],
  ["the beginning that was cut off", () => messages.slice(2), 1, /1 to 2 are missing/],
])("%s is named", (_what, tamper, sequence, why) => {
  const { faults } = verify(tamper(), end);
  expect(faults).toContainEqual({ sequence, why: expect.stringMatching(why) });
});

test("whole records of a proxy that are replaced by others that it signed are found by the seal alone", async () => {
  const other = await new World().open();
  await other.write("p2", "b");
  const [entry, outcome] = await other.stored();
  if (entry === undefined || outcome === undefined) throw new Error("they were written");
  // at the place of another entry that no confirmation names: its outcome is about sequence 1, so it is left as it was
  const { faults } = verify(
    changed(3, () => ({ data: entry.data, statement: entry.statement })),
    end,
  );
  expect(faults[0]).toEqual({ sequence: 3, why: expect.stringMatching(/not what it was/) });
  const both = [...messages.slice(0, 10), { ...entry, sequence: 11 }, at(12)];
  expect(verify(both, end).faults).toContainEqual({ sequence: 11, why: expect.any(String) });
});

test("without a signature at the end, or under another mesh's keys, it does not hold", async () => {
  expect(verify(messages, undefined).faults).toEqual([{ sequence: 12, why: expect.stringMatching(/not signed/) }]);
  const stranger = world.sealerOf(createTestKey());
  const wrong = await stranger.endOf(await world.found(), signal);
  expect(verify(messages, wrong).faults[0]?.why).toMatch(/signature at the end does not hold/);
  expect(verify([], "empty" as never).faults).toEqual([]);
});

test("a fault is named once: the seals after it tell about their own messages", () => {
  const { faults, seals } = verify(
    changed(4, ({ data }) => ({ data: flipped(data) })),
    end,
  );
  expect(faults.map(({ sequence }) => sequence)).toEqual([4]);
  expect(seals).toBe(2);
});

test("another control plane goes on only when the one that sealed last is silent, and both hold", async () => {
  const two = await new World().open();
  const other = two.sealerOf(second);
  await two.write("p1", "a");
  await two.seal();
  await two.write("p1", "b");
  nowMs += sealEveryMs + 1000;
  await two.seal(other);
  expect((await two.stored()).filter(({ subject }) => subject.endsWith(".seal"))).toHaveLength(1);
  nowMs += 3 * sealEveryMs;
  await two.seal(other);
  const all = await two.stored();
  expect(all.filter(({ subject }) => subject.endsWith(".seal"))).toHaveLength(2);
  await two.seal();
  await two.seal(other);
  expect((await two.stored()).length).toBe(all.length); // nothing but seals was stored since
  expect(verify(all, await other.endOf(await two.found(), signal)).faults).toEqual([]);
});

test("a line says what its bytes say, or it is refused", () => {
  for (const message of messages) expect(parseJournalLine(renderJournalLine(message))).toEqual(message);
  const line = renderJournalLine(at(1));
  expect(line).toMatch(/"principal":"spiffe:\/\/.*\/service\/shop"/);
  expect(() => parseJournalLine(line.replace("/service/shop", "/service/evil"))).toThrow(/not what its bytes say/);
  expect(() => parseJournalLine(line.slice(0, -5))).toThrow();
});

test("records that were signed together are verified each alone, and one that was changed is named", async () => {
  const own = await new World().open();
  const signer = new TurnSigner(signing.p1);
  const orders = ["a", "b", "c"];
  await Promise.all(orders.map((order) => own.write("p1", order, (bytes) => signer.sign(bytes, digestOf(bytes)))));
  const stored = await own.stored();
  expect(stored.filter(({ statement }) => splitPlace(statement).place !== undefined)).toHaveLength(2 * orders.length);
  const signed = await own.sealer.endOf(await own.found(), signal);
  const lines = stored.map(renderJournalLine);
  expect(verify(lines.map(parseJournalLine), signed)).toMatchObject({ entries: orders.length, faults: [] });
  const changed = stored.map((message, at) =>
    at === 1 ? { ...message, statement: stored[0]?.statement ?? "" } : message,
  );
  expect(verify(changed, signed).faults[0]).toMatchObject({
    sequence: 2,
    why: expect.stringContaining("signature does not hold"),
  });
});

test("what a replica lacks yet is read from the leader", async () => {
  const own = await new World().open();
  await own.write("p2", "a");
  const { info } = await own.found();
  const lagging = {
    leaderGet: own.bus.leaderGet.bind(own.bus),
    directGet: async (name: string, query: { readonly sequence: number }) =>
      query.sequence > 1 ? undefined : own.bus.directGet(name, query),
  } as Pick<Bus, "leaderGet" | "directGet">;
  const sequences: number[] = [];
  for await (const { sequence } of readJournal(lagging, "ledger", 1, info.lastSequence, signal))
    sequences.push(sequence);
  expect(sequences).toEqual([1, 2]);
});
