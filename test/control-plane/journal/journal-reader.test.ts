import { expect, test } from "@jest/globals";
import type { AuditDraft } from "../../../control-plane/audit/audit-trail.js";
import { newestOf } from "../../../control-plane/journal/journal-methods.js";
import { createJournalReader } from "../../../control-plane/journal/journal-reader.js";
import { resolveEntry, underWayMs } from "../../../control-plane/journal/journal-resolver.js";
import { journalSpec } from "../../../control-plane/journal/journal-streams.js";
import { digestOf } from "../../../core/digest.js";
import { buildSpiffeId } from "../../../core/identity.js";
import { journalKey } from "../../../core/journal/journal-key.js";
import { encodeEntry, type JournalEntry } from "../../../core/wire/journal/entry.js";
import { encodeOutcome } from "../../../core/wire/journal/outcome.js";
import { journalStream, journalSubject } from "../../../core/wire/subjects.js";
import { systemClock } from "../../../runtime/clock.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";
import { buildTrust, createTestKey, testAuthor, testMesh } from "../../support/records.js";
import { StatementPki, writerOf } from "../../support/statements.js";

const pki = new StatementPki();
const plane = createTestKey();
const trust = { ...pki.trust, body: { ...pki.trust.body, signingKeys: buildTrust([plane]).signingKeys } };
const writer = { service: "ledger", proxyId: "p1" };
const signing = writerOf(pki.issue("ledger", "p1"));
let nonces = 0;

function entryOf(parts: Partial<JournalEntry>): JournalEntry {
  nonces += 1;
  return {
    ...writer,
    life: "ab".repeat(16),
    nonce: Buffer.alloc(16, nonces),
    timeMs: 1000,
    caller: buildSpiffeId(testMesh, "service", "shop"),
    ...{ user: "", method: "bank.Ledger/Transfer", revision: 3, epoch: 4, decision: "", key: "", order: "" },
    ...{ expected: 0, afterVoid: 0, deadlineMs: 0, traceId: "", fields: [], confirms: [], outcome: undefined },
    request: Buffer.from("request"),
    ...parts,
  };
}

class World {
  readonly trusts = [trust];
  readonly bus = new MemoryBroker().connect();
  readonly reader = createJournalReader({
    ...{ bus: this.bus, mesh: testMesh, reader: pki.reader() },
    trust: { list: () => this.trusts },
  });

  async open(): Promise<this> {
    await this.bus.createStream(journalSpec({ service: "ledger", rememberMs: 0 }, { maxBytes: 1e9, replicas: 1 }));
    return this;
  }

  async write(parts: Partial<JournalEntry>, by = signing): Promise<number> {
    const entry = entryOf(parts);
    const body = encodeEntry(entry);
    return this.bus.append(journalSubject("ledger", "entry", journalKey(entry)), body, {
      headers: by.sign("journal", body),
    });
  }

  async settle(entry: number, order: string, code: number, proxyId = "p1"): Promise<number> {
    const key = journalKey({ ...entryOf({ order }), service: "ledger" });
    const response = Buffer.from("answer");
    const responseDigest = digestOf(response);
    const stored = await this.bus.leaderGet(journalStream("ledger"), { sequence: entry });
    const entryDigest = digestOf(stored?.data ?? response);
    const by = proxyId === "p1" ? signing : writerOf(pki.issue("ledger", proxyId));
    const body = encodeOutcome({
      ...{ ...writer, proxyId, timeMs: 5, entry, entryDigest, code, head: [], trailers: [] },
      ...{ response, responseDigest, responseBytes: response.length, confirms: [], notForwarded: false, behind: 0 },
    });
    return this.bus.append(journalSubject("ledger", "outcome", key), body, { headers: by.sign("journal", body) });
  }
}

test("a journal is read with what came of each write: settled, void, or not known", async () => {
  const world = await new World().open();
  const first = await world.write({ order: "a", key: "k1" });
  const loser = await world.write({ order: "a", key: "k2" });
  await world.settle(first, "a", 13, "p2"); // another proxy's word about it counts for nothing
  const outcome = await world.settle(first, "a", 0);
  await world.settle(first, "a", 13);
  const open = await world.write({ order: "a", key: "k3", expected: first });
  const { entries, refused } = await world.reader.read("ledger");
  expect(refused).toBe(1);
  const told = entries.map(({ judged, outcome: found, entry }) => {
    return [judged.sequence, entry.key, judged.isValid, judged.settledBy, found?.code];
  });
  expect(told).toEqual([
    [first, "k1", true, outcome, 0],
    [loser, "k2", false, 0, undefined],
    [open, "k3", true, 0, undefined],
  ]);
  expect(await world.reader.services()).toEqual(["ledger"]);
});

/** The bytes that a value keeps from being freed. */
function heldBytes(value: unknown): number {
  if (value instanceof Uint8Array) return value.length === 0 ? 0 : value.buffer.byteLength;
  if (typeof value !== "object" || value === null) return 0;
  return Object.values(value).reduce<number>((sum, each) => sum + heldBytes(each), 0);
}

test("of a long journal the messages of one entry are kept, and only when it is asked for", async () => {
  const world = await new World().open();
  const first = await world.write({ request: Buffer.alloc(1000, "a") });
  const second = await world.write({ request: Buffer.alloc(2000, "b") });
  await world.settle(second, "", 0);
  const { entries } = await world.reader.read("ledger");
  expect(entries.map(({ requestBytes }) => requestBytes)).toEqual([1000, 2000]);
  expect(heldBytes(entries)).toBe(0);
  const asked = await world.reader.read("ledger", undefined, second);
  expect(asked.entries.map(({ request }) => request.length)).toEqual([0, 2000]);
  expect(asked.entries.find(({ judged }) => judged.sequence === first)?.outcome).toBeUndefined();
  expect(asked.entries[1]?.outcome).toEqual({ code: 0 });
  expect(Buffer.from(asked.entries[1]?.response ?? []).toString()).toBe("answer");
});

test("of several journals the newest entries are listed, oldest first, whatever their services are called", async () => {
  const world = await new World().open();
  await world.write({});
  const [one] = (await world.reader.read("ledger")).entries;
  const at = (service: string, storedMs: number) => {
    if (one === undefined) throw new Error("it was written");
    return { ...one, entry: { ...one.entry, service }, storedMs };
  };
  const found = newestOf([at("ledger", 10), at("ledger", 30), at("orders", 5), at("orders", 20)], 2);
  expect(found.map(({ entry, storedMs }) => [entry.service, storedMs])).toEqual([
    ["orders", 20],
    ["ledger", 30],
  ]);
});

test("what another service's proxy signed, or nobody, is counted and is no entry", async () => {
  const world = await new World().open();
  await world.write({}, writerOf(pki.issue("shop", "p9")));
  await world.bus.append(journalSubject("ledger", "entry", "u"), encodeEntry(entryOf({})));
  await world.bus.append(journalSubject("ledger", "resolution", "u"), Buffer.from("x"));
  expect(await world.reader.read("ledger")).toMatchObject({ service: "ledger", entries: [], refused: 3 });
  await expect(world.reader.read("shop")).rejects.toMatchObject({ code: "not_found" });
});

test("an operator resolves a write that nobody knows the outcome of, once, and not while it may be under way", async () => {
  const world = await new World().open();
  const [open, loser] = [await world.write({ order: "a" }), await world.write({ order: "a" })];
  const notes: AuditDraft[] = [];
  const signer = createTestKey();
  const clock = { ...systemClock, nowMs: () => nowMs };
  let nowMs = Date.now();
  const deps = {
    ...{ mesh: testMesh, bus: world.bus, signer: plane.signer, clock },
    journalReader: world.reader,
    audit: { record: async (draft: AuditDraft) => void notes.push(draft) },
  };
  const caller = { id: testAuthor, source: "127.0.0.1:5000" };
  const resolve = (sequence: number, by = deps) => {
    const said = { outcome: "applied", code: 0, message: "", reason: "seen" } as const;
    return resolveEntry(by, { service: "ledger", sequence, ...said }, caller);
  };
  await expect(resolve(open)).rejects.toThrow(/may still be under way: try again in 60 s/);
  nowMs += underWayMs;
  await resolve(open, { ...deps, signer: signer.signer }); // a key that is none of the mesh's: it counts for nothing
  expect((await world.reader.read("ledger")).refused).toBe(1);
  const sequence = await resolve(open);
  const [first] = (await world.reader.read("ledger")).entries;
  expect([first?.judged.settledBy, first?.resolution?.operator]).toEqual([sequence, testAuthor]);
  await expect(resolve(open)).rejects.toThrow(`settled by ${sequence}`);
  await expect(resolve(loser)).rejects.toThrow("is void");
  await expect(resolve(99)).rejects.toMatchObject({ code: "not_found" });
  // proxies do not take what a dropped key signed, so the word is asked for again
  const next = createTestKey();
  world.trusts.push({ ...trust, body: { ...trust.body, signingKeys: buildTrust([next]).signingKeys } });
  const [dropped] = (await world.reader.read("ledger")).entries;
  expect([dropped?.judged.settledBy, dropped?.resolution?.operator]).toEqual([0, testAuthor]);
  const again = await resolve(open, { ...deps, signer: next.signer });
  expect((await world.reader.read("ledger")).entries[0]?.judged.settledBy).toBe(again);
  expect(notes.at(2)).toMatchObject({ action: "resolve", target: `ledger entry ${open}`, outcome: "ok" });
});

test("a copy of an entry that holds its outcome is no second write, whoever appended it", async () => {
  const world = await new World().open();
  const response = Buffer.from("answer");
  const outcome = {
    ...{ ...writer, timeMs: 5, entry: 0, entryDigest: undefined, code: 0, head: [], trailers: [], confirms: [] },
    ...{ response, responseDigest: digestOf(response), responseBytes: response.length, notForwarded: false, behind: 0 },
  };
  const first = await world.write({ outcome });
  const stored = await world.bus.leaderGet(journalStream("ledger"), { sequence: first });
  const headers = { "Ashlar-Statement": stored?.header("Ashlar-Statement") ?? "" };
  await world.bus.append(stored?.subject ?? "", stored?.data ?? response, { headers });
  const { entries, refused } = await world.reader.read("ledger");
  expect([entries.map(({ judged }) => judged.sequence), refused]).toEqual([[first], 1]);
});
