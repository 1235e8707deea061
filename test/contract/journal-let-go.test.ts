/** Letting go of the beginning of a journal, on real servers. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createJournalKeeper } from "../../control-plane/journal/journal-keeper.js";
import { createJournalReader } from "../../control-plane/journal/journal-reader.js";
import { retainJournal } from "../../control-plane/journal/journal-retainer.js";
import { JournalSealer, readJournal, sealedOf } from "../../control-plane/journal/journal-sealer.js";
import { readLetGo } from "../../control-plane/journal/read-let-go.js";
import { digestOf } from "../../core/digest.js";
import { buildSpiffeId } from "../../core/identity.js";
import { journalKey } from "../../core/journal/journal-key.js";
import { JournalVerifier } from "../../core/journal/journal-verifier.js";
import { encodeEntry, type JournalEntry } from "../../core/wire/journal/entry.js";
import { encodeOutcome } from "../../core/wire/journal/outcome.js";
import { keySetOf } from "../../core/wire/records.js";
import { statementHeader } from "../../core/wire/statement.js";
import { journalStream, journalSubject } from "../../core/wire/subjects.js";
import { JournalStore } from "../../data-plane/journal/journal-store.js";
import type { Bus } from "../../runtime/bus.js";
import { systemClock } from "../../runtime/clock.js";
import { silentLogger } from "../../runtime/log.js";
import { journalAccess } from "../support/journal-access.js";
import { startTestNats, type TestNats } from "../support/nats.js";
import { natsPrograms } from "../support/nats-programs.js";
import { buildTrust, createTestKey, testMesh } from "../support/records.js";
import { StatementPki, writerOf } from "../support/statements.js";

const pki = new StatementPki();
const plane = createTestKey();
const trust = { ...pki.trust, body: { ...pki.trust.body, signingKeys: buildTrust([plane]).signingKeys } };
const keys = keySetOf(trust.body);
const current = pki.issue("ledger", "p1");
const signing = writerOf(current);
const signal = new AbortController().signal;
const stream = journalStream("ledger");
const caller = { id: buildSpiffeId(testMesh, "operator", "ann"), source: "", certificateSerial: "" };
/** Later than anything that is remembered. */
const later = { ...systemClock, nowMs: () => Date.now() + 3_600_000 };

for (const { name: server, program } of natsPrograms)
  describe(`on ${server}`, () => {
    let nats: TestNats;
    let bus: Bus;
    let deps: Parameters<typeof retainJournal>[0];
    let sealer: JournalSealer;
    let nonces = 0;

    beforeAll(async () => {
      nats = await startTestNats({ program });
      bus = await nats.connect(await nats.controlPlaneUser());
      const access = journalAccess(nats, bus);
      const keeper = createJournalKeeper({ access, log: silentLogger, freeBytes: async () => 1e9 });
      await keeper.prepare([{ service: "ledger", rememberMs: 0 }], signal);
      sealer = new JournalSealer({ bus, mesh: testMesh, signer: plane.signer, keys: () => keys, clock: later });
      const trusts = { list: () => [trust] };
      deps = {
        ...{ mesh: testMesh, access, journalSealer: sealer, signer: plane.signer, clock: later, log: silentLogger },
        journalReader: createJournalReader({ bus, reader: pki.reader(), mesh: testMesh, trust: trusts }),
        audit: { record: async () => {} },
      };
    });
    afterAll(() => nats?.stop());

    async function write(order: string, expected: number, isSettled = true): Promise<number> {
      const proxy = await nats.connect(await nats.proxyUser("ledger", "p1"));
      nonces += 1;
      const entry: JournalEntry = {
        ...{ service: "ledger", proxyId: "p1", life: "ab".repeat(16), nonce: Buffer.alloc(16, nonces), timeMs: 1000 },
        ...{
          caller: buildSpiffeId(testMesh, "service", "shop"),
          user: "",
          method: "bank.Ledger/Transfer",
          revision: 3,
        },
        ...{ epoch: 4, decision: "", key: "", order, expected, afterVoid: 0, deadlineMs: 0, traceId: "", fields: [] },
        ...{ request: Buffer.from("request"), outcome: undefined, confirms: [] },
      };
      const bytes = encodeEntry(entry);
      const key = journalKey(entry);
      const sequence = await proxy.append(journalSubject("ledger", "entry", key), bytes, {
        headers: signing.sign("journal", bytes),
      });
      const outcome = encodeOutcome({
        ...{ service: "ledger", proxyId: "p1", timeMs: 1001, entry: sequence, entryDigest: digestOf(bytes), code: 0 },
        ...{ head: [], trailers: [], response: undefined, responseDigest: digestOf(Buffer.alloc(0)), responseBytes: 0 },
        ...{ confirms: [], notForwarded: false, behind: 0 },
      });
      if (isSettled)
        await proxy.append(journalSubject("ledger", "outcome", key), outcome, {
          headers: signing.sign("journal", outcome),
        });
      await proxy.close();
      return sequence;
    }

    async function seal(): Promise<void> {
      const info = await bus.streamInfo(stream);
      if (info !== undefined) await sealer.look({ service: "ledger", info }, signal);
    }

    function storeOf(): JournalStore {
      const identity = { current, onRotate: () => () => {} };
      const known = { statements: signing, reader: pki.reader(), keys: () => keys, clock: systemClock };
      return new JournalStore({ bus, identity, ...known, random: (bytes) => Buffer.alloc(bytes, 1) }, "ledger");
    }

    const keyOf = (order: string) =>
      journalKey({ service: "ledger", caller: "", user: "", method: "", key: "", order });
    const retain = (parts: Partial<Parameters<typeof retainJournal>[1]>) =>
      retainJournal(
        deps,
        { service: "ledger", through: 0, untilMs: 0, reason: "archived", dryRun: false, ...parts },
        caller,
        signal,
      );

    async function verify() {
      const info = await bus.streamInfo(stream);
      if (info === undefined) throw new Error("it is there");
      const letGo = (await readLetGo(bus, "ledger", testMesh, keys))?.bytes;
      const reader = pki.reader();
      const verifier = new JournalVerifier({
        ...{ service: "ledger", mesh: testMesh, keys, letGo },
        writerOf: ({ data, statement, storedMs }) => {
          const header = (name: string) => (name === statementHeader ? statement : undefined);
          return reader.readJournal("ledger", { data, header }, storedMs).writer;
        },
      });
      for await (const message of readJournal(bus, "ledger", info.firstSequence, info.lastSequence, signal))
        verifier.add(sealedOf(message));
      return verifier.finish(await sealer.endOf({ service: "ledger", info }, signal));
    }

    test("a journal in which nothing was written yet is read, and has nothing to let go", async () => {
      expect(await deps.journalReader.read("ledger", signal)).toMatchObject({ entries: [], refused: 0 });
      await expect(retain({ untilMs: Date.now() })).rejects.toMatchObject({ code: "stale" });
    });

    test("what has outcomes and is sealed goes, order keys go on where they were, and the rest verifies", async () => {
      const first = await write("a", 0);
      const second = await write("a", first);
      await write("b", 0);
      await write("a", first); // void
      await seal();
      const open = await write("c", 0, false);
      await write("c", open, false);
      await expect(retain({ through: 2 })).rejects.toMatchObject({ code: "stale" }); // no seal ends there or before
      await expect(retain({ untilMs: 1000 })).rejects.toThrow(
        /let go: nothing in it was stored before 1970-01-01T00:00:01/,
      );
      const planned = await retain({ dryRun: true });
      expect(planned).toEqual({ through: 8, entries: 4, why: expect.stringMatching(/^entry 10 has no outcome/) });
      expect((await bus.streamInfo(stream))?.firstSequence).toBe(1);
      expect(await retain({})).toEqual(planned);
      const info = await bus.streamInfo(stream);
      expect(info).toMatchObject({ firstSequence: 9, dangers: [], spec: { discard: "new" } });
      expect(info?.spec.subjects).toEqual(["ashlar.journal.ledger.>"]);
      const store = storeOf();
      expect(await store.findHead(keyOf("a"))).toBe(second);
      expect(await store.findHead(keyOf("c"))).toBe(open + 1);
      expect(await store.findHead(keyOf("new"))).toBe(0);
      expect(await store.letGo(keyOf("b"))).toEqual({ through: 8, head: 5 });
      expect((await verify()).faults).toEqual([]);
      const next = await write("a", second);
      await write("a", first); // what was void stays void
      await write("b", 0);
      const { entries } = await deps.journalReader.read("ledger");
      const valid = entries.filter(({ judged }) => judged.isValid).map(({ judged }) => judged.sequence);
      expect(valid).toEqual([open, open + 1, next]);
    });

    test("what was stored of late stays: keys are remembered", async () => {
      const young = { ...deps, clock: systemClock };
      const asked = { service: "ledger", through: 0, untilMs: 0, reason: "archived", dryRun: true };
      await expect(retainJournal(young, asked, caller, signal)).rejects.toThrow(/what was stored in the last/);
    });
  });
