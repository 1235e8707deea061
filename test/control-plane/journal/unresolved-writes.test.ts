/** Which writes `status` names: valid ones that have had no outcome for a minute. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { findJournals } from "../../../control-plane/journal/find-journals.js";
import { journalSpec } from "../../../control-plane/journal/journal-streams.js";
import { openUnresolvedPlaces } from "../../../control-plane/journal/unresolved-places.js";
import { type UnresolvedLimits, UnresolvedWrites } from "../../../control-plane/journal/unresolved-writes.js";
import { digestOf } from "../../../core/digest.js";
import { buildSpiffeId } from "../../../core/identity.js";
import { journalKey } from "../../../core/journal/journal-key.js";
import { encodeEntry } from "../../../core/wire/journal/entry.js";
import { encodeOutcome } from "../../../core/wire/journal/outcome.js";
import { journalStream, journalSubject } from "../../../core/wire/subjects.js";
import type { StoredQuery } from "../../../runtime/bus.js";
import { silentLogger } from "../../../runtime/log.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";
import { testMesh } from "../../support/records.js";
import { StatementPki, writerOf } from "../../support/statements.js";

const pki = new StatementPki();
const signing = writerOf(pki.issue("ledger", "p1"));
const caller = buildSpiffeId(testMesh, "service", "shop");
const bare = { service: "ledger", caller, user: "", method: "bank.Ledger/Transfer", key: "" };
const { signal } = new AbortController();

let dir: string;
let nowMs = 0;
let nonces = 0;
let bus: ReturnType<MemoryBroker["connect"]>;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "unresolved-"));
  nowMs = Date.now();
  bus = new MemoryBroker().connect();
  await bus.createStream(journalSpec({ service: "ledger", rememberMs: 0 }, { maxBytes: 1e9, replicas: 1 }));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function write(order: string, expected = 0, deadlineMs = 0, isSigned = true): Promise<number> {
  nonces += 1;
  const entry = {
    ...{
      ...bare,
      proxyId: "p1",
      life: "ab".repeat(16),
      nonce: Buffer.alloc(16, nonces),
      timeMs: 1000,
      order,
      expected,
    },
    ...{ revision: 3, epoch: 4, decision: "", afterVoid: 0, deadlineMs, traceId: "", fields: [], confirms: [] },
    ...{ outcome: undefined, request: Buffer.from("request") },
  };
  const body = encodeEntry(entry);
  const headers = isSigned ? signing.sign("journal", body) : {};
  return bus.append(journalSubject("ledger", "entry", journalKey(entry)), body, { headers });
}

async function settle(entry: number, order: string): Promise<void> {
  const stored = await bus.leaderGet(journalStream("ledger"), { sequence: entry });
  const response = Buffer.from("answer");
  const body = encodeOutcome({
    ...{ service: "ledger", proxyId: "p1", timeMs: 5, entry, entryDigest: digestOf(stored?.data ?? response), code: 0 },
    ...{ head: [], trailers: [], response, responseDigest: digestOf(response), responseBytes: response.length },
    ...{ confirms: [], notForwarded: false, behind: 0 },
  });
  const subject = journalSubject("ledger", "outcome", journalKey({ ...bare, order }));
  await bus.append(subject, body, { headers: signing.sign("journal", body) });
}

/** A control plane's life. `read`: what it asks of the stream. */
function open(read: StoredQuery[] = [], limits: Partial<UnresolvedLimits> = {}) {
  const writes = new UnresolvedWrites({
    limits: { readMax: 20_000, openMax: 1000, unresolvedMax: 100, ...limits },
    bus: {
      leaderGet(stream, query) {
        read.push(query);
        return bus.leaderGet(stream, query);
      },
      directGet(stream, query) {
        read.push(query);
        return bus.directGet(stream, query);
      },
    },
    ...{ mesh: testMesh, reader: pki.reader(), keys: () => new Map(), clock: { nowMs: () => nowMs } },
    places: openUnresolvedPlaces(join(dir, "journals.json"), silentLogger),
  });
  return {
    async look() {
      for (const journal of await findJournals(bus)) await writes.look(journal, signal);
      return writes.of("ledger");
    },
  };
}

test("a valid write is named a minute after it was stored, and no more once its outcome is there", async () => {
  const first = await write("a");
  const plane = open();
  expect(await plane.look()).toMatchObject({ count: 0 });
  nowMs += 61_000;
  expect(await plane.look()).toMatchObject({ count: 1, oldest: first });
  await settle(first, "a");
  expect(await plane.look()).toMatchObject({ count: 0 });
});

test("void writes, what nobody signed, settled ones, and one whose caller may still wait are not named", async () => {
  const first = await write("a");
  await settle(first, "a");
  await write("a", first); // valid
  await write("a", first); // void
  await write("b", 0, 0, false);
  await write("c", 0, nowMs + 100_000);
  const plane = open();
  nowMs += 61_000;
  expect(await plane.look()).toMatchObject({ count: 1, oldest: first + 2 });
  nowMs += 60_000;
  expect(await plane.look()).toMatchObject({ count: 2 });
});

test("a later life goes on where the last one was, and names what that one knew", async () => {
  const first = await write("a");
  const plane = open();
  nowMs += 61_000;
  await plane.look();
  for (let count = 0; count < 50; count += 1) await settle(await write(`k${count}`), `k${count}`);
  await plane.look();
  const read: StoredQuery[] = [];
  const next = open(read);
  expect(await next.look()).toMatchObject({ count: 1, oldest: first });
  expect(read).toEqual([]);
  await settle(first, "a");
  expect(await next.look()).toMatchObject({ count: 0 });
});

test("a reader that is behind names no write whose outcome it has not come to", async () => {
  await settle(await write("a"), "a");
  const last = await write("b");
  const plane = open([], { readMax: 1 });
  nowMs += 61_000;
  expect(await plane.look()).toMatchObject({ count: 0 }); // it has read one message
  expect(await plane.look()).toMatchObject({ count: 0 });
  expect(await plane.look()).toMatchObject({ count: 1, oldest: last });
});

test("more unresolved writes than are told do not keep it from reading what settles them", async () => {
  const first = await write("a");
  for (const order of ["b", "c", "d"]) await write(order);
  const plane = open([], { openMax: 2, unresolvedMax: 1 });
  nowMs += 61_000;
  expect(await plane.look()).toMatchObject({ count: 1, oldest: first });
  await settle(first, "a");
  expect(await plane.look()).toMatchObject({ count: 1, oldest: first + 3 });
});

test("a place that cannot be read, or is of a stream that is gone, is begun anew", async () => {
  writeFileSync(join(dir, "journals.json"), "{");
  const first = await write("a");
  nowMs += 61_000;
  expect(await open().look()).toMatchObject({ count: 1, oldest: first });
  writeFileSync(join(dir, "journals.json"), JSON.stringify({ ledger: { through: 900, unresolved: [[800, 5]] } }));
  expect(await open().look()).toMatchObject({ count: 1, oldest: first });
});
