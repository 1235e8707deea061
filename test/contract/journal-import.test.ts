/** Importing an archive into a journal that is not there, in memory and on real servers. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { importPage } from "../../control-plane/journal/import-page.js";
import {
  beginImport,
  finishImport,
  giveUpImport,
  type JournalImporterDeps,
  storedOrFirst,
} from "../../control-plane/journal/journal-importer.js";
import { createJournalReader } from "../../control-plane/journal/journal-reader.js";
import { readJournal } from "../../control-plane/journal/journal-sealer.js";
import { ensureJournal, isReady, journalSpec } from "../../control-plane/journal/journal-streams.js";
import type { JournalMessage } from "../../core/journal/journal-verifier.js";
import { importedHeader } from "../../core/wire/journal/imported.js";
import { statementHeader } from "../../core/wire/statement.js";
import { journalStream } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import { readJournalRecord } from "../../runtime/journal-records.js";
import { MemoryBroker } from "../../runtime/memory-bus.js";
import { journalAccess } from "../support/journal-access.js";
import {
  type Archive,
  archivedMs,
  archiveKeys,
  archivePlane,
  archiveReader,
  archiveTrust,
  makeArchive,
  messageIdOf,
} from "../support/journal-archive.js";
import { startTestNats, type TestNats } from "../support/nats.js";
import { natsPrograms } from "../support/nats-programs.js";
import { testMesh } from "../support/records.js";

/** In memory it is imported when all certificates have expired. */
const laterMs = 30 * 3_600_000;
const signal = new AbortController().signal;
const stream = journalStream("ledger");
const rootPublicKey = new Uint8Array(32).fill(7);
const wanted = { service: "ledger", rememberMs: 3_600_000 };

for (const { name, program } of [{ name: "in memory", program: undefined }, ...natsPrograms])
  describe(name, () => {
    let nats: TestNats | undefined;
    let inMemory: MemoryBroker | undefined;
    let bus: Bus;
    let deps: JournalImporterDeps;
    let isNamed = false;

    beforeAll(async () => {
      const broker = new MemoryBroker({ nowMs: () => Date.now() + laterMs });
      inMemory = broker;
      bus = broker.connect();
      let access: JournalImporterDeps["access"] = {
        bus,
        once: async (permissions, _signal, work) => void (await work(broker.connect(permissions("_INBOX_once")))),
      };
      if (name !== "in memory") {
        nats = await startTestNats({ ...(program !== undefined && { program }) });
        bus = await nats.connect(await nats.controlPlaneUser());
        access = journalAccess(nats, bus);
      }
      deps = {
        ...{ mesh: testMesh, rootPublicKey, access, reader: archiveReader(), signer: archivePlane.signer },
        ledger: { trust: { list: () => [archiveTrust] } } as unknown as JournalImporterDeps["ledger"],
        isNamed: async () => isNamed,
        specOf: async (service, rememberMs) => journalSpec({ service, rememberMs }, { maxBytes: 1e8, replicas: 1 }),
      };
    });
    afterAll(() => nats?.stop());

    const begin = (first: number, of: { mesh?: string; rootPublicKey?: Uint8Array } = {}) =>
      beginImport(deps, { ...wanted, mesh: testMesh, rootPublicKey, first, ...of }, signal);

    async function put(archive: Archive, messages: readonly JournalMessage[] = archive.messages) {
      await begin(messages[0]?.sequence ?? 1);
      await importPage(deps, "ledger", messages, [1, 4, 6], signal);
      let last: { messages: number; entries: number; done: boolean } | undefined;
      for await (const told of finishImport(deps, { service: "ledger", ...archive }, signal)) last = told;
      return last;
    }

    const read = (sequence: number) => bus.leaderGet(stream, { sequence });
    const records = { reader: archiveReader(), mesh: testMesh, keys: () => archiveKeys };

    test("what does not hold is refused with its place, and nothing stays", async () => {
      const archive = await makeArchive();
      const changed = (at: number, as: Partial<JournalMessage>) =>
        archive.messages.map((each) => (each.sequence === at ? { ...each, ...as } : each));
      const data = Buffer.from("something else");
      await expect(put(archive, changed(4, { data }))).rejects.toThrow(
        /ledger, sequence 4: .*changed, moved or inserted/,
      );
      expect(await bus.streamInfo(stream)).toBeUndefined();
      await expect(put(archive, archive.messages.slice(0, -1))).rejects.toThrow(
        /sequence 7: .*missing|the end was cut off/,
      );
      const older = changed(5, { storedMs: archivedMs - 1_800_000 });
      await expect(put(archive, older)).rejects.toThrow(/sequence 5: its time is before that of a seal/);
      const younger = changed(2, { storedMs: archivedMs + 1_800_000 });
      await expect(put(archive, younger)).rejects.toThrow(/sequence 2: its time is after that of the seal/);
      await expect(
        put(
          archive,
          archive.messages.filter(({ sequence }) => sequence !== 4),
        ),
      ).rejects.toThrow(/sequence 5: it does not come next/);
      await giveUpImport(deps, "ledger", signal);
      expect(await bus.streamInfo(stream)).toBeUndefined();
    });

    test("what comes while it is verified does not become the journal", async () => {
      const archive = await makeArchive();
      await begin(1);
      await importPage(deps, "ledger", archive.messages, [], signal);
      const [first] = archive.messages;
      if (first === undefined) throw new Error("it has messages");
      const unverified = { ...first, sequence: 8, data: Buffer.from("nobody verified this") };
      const once: typeof deps.access.once = async (...of) => {
        await importPage(deps, "ledger", [unverified], [], signal);
        return deps.access.once(...of);
      };
      const finishing = async (access: JournalImporterDeps["access"]) => {
        for await (const told of finishImport({ ...deps, access }, { service: "ledger", ...archive }, signal))
          expect(told.done).toBe(false);
      };
      await expect(finishing({ bus, once })).rejects.toThrow(/somebody else imports it/);
      const left = await bus.streamInfo(stream);
      expect([left?.lastSequence, isReady(wanted, left)]).toEqual([8, false]);
      await expect(finishing(deps.access)).rejects.toThrow(/sequence 8/);
      expect(await bus.streamInfo(stream)).toBeUndefined();
    });

    test("a write of a proxy that has not heard of the import is not acknowledged, so giving it up loses none that was", async () => {
      const archive = await makeArchive();
      await begin(1);
      await importPage(deps, "ledger", archive.messages.slice(0, 3), [], signal);
      const inbox = "_INBOX_late";
      const appending = { publish: ["ashlar.journal.ledger.entry.*"], subscribe: [`${inbox}.>`] };
      const late =
        nats === undefined
          ? await inMemory?.connect(appending)
          : await nats.connect(await nats.user(appending, inbox), { timeoutMs: 500 });
      const told = await late?.append("ashlar.journal.ledger.entry.late", Buffer.from("late")).catch(String);
      expect(told).toMatch(/NATS did not answer in time/);
      await expect(importPage(deps, "ledger", archive.messages.slice(3), [], signal)).rejects.toThrow(
        /sequence 4: it does not come next, or somebody else appends/,
      );
      await giveUpImport(deps, "ledger", signal);
      expect(await bus.streamInfo(stream)).toBeUndefined();
    });

    test("a message with the key of an earlier one is refused with its place", async () => {
      const archive = await makeArchive();
      const [first] = archive.messages;
      if (first === undefined) throw new Error("it has messages");
      await begin(1);
      await importPage(deps, "ledger", [first], [1], signal);
      const again = importPage(deps, "ledger", [{ ...first, sequence: 2 }], [2], signal);
      await expect(again).rejects.toThrow(/sequence 2: its key is that of an earlier entry/);
      await giveUpImport(deps, "ledger", signal);
    });

    test("a foreign mesh, and one whose policy names the Journal, are refused with the remedy", async () => {
      await expect(begin(1, { mesh: "other" })).rejects.toThrow(/of mesh other .*counts? nowhere else.*replay/);
      await expect(begin(1, { rootPublicKey: new Uint8Array(32) })).rejects.toThrow(/root hash/);
      isNamed = true;
      await expect(begin(1)).rejects.toThrow(/names a Journal of ledger.*take it out of the policy/);
      isNamed = false;
      await expect(importPage(deps, "ledger", [], [], signal)).rejects.toThrow(/begin it again/);
    });

    test("while it is imported it is no journal; then all of it counts, though certificates have expired", async () => {
      const archive = await makeArchive();
      await begin(1);
      const half = await bus.streamInfo(stream);
      expect(isReady(wanted, half)).toBe(false);
      const making = deps.access.once(
        () => ({ publish: ["$JS.API.>"], subscribe: ["_INBOX_once.>"] }),
        signal,
        (once) => ensureJournal(once, wanted, { maxBytes: 1e8, replicas: 1 }),
      );
      if (name === "in memory") await expect(making).rejects.toThrow(/did not end: run `ashlar journal import` again/);
      else await making.catch(() => {});
      expect(await put(archive)).toEqual({ messages: 7, entries: 3, done: true });
      expect(isReady(wanted, await bus.streamInfo(stream))).toBe(true);
      const stored = await read(4);
      if (name === "in memory") expect((stored?.storedMs ?? 0) - archivedMs).toBeGreaterThan(laterMs - 1000);
      expect(stored && readJournalRecord(records, "ledger", stored)).toMatchObject({ kind: "entry", sequence: 4 });
      const trust = { list: () => [archiveTrust] } as unknown as Parameters<typeof createJournalReader>[0]["trust"];
      const reader = createJournalReader({ bus, reader: archiveReader(), mesh: testMesh, trust });
      const { entries } = await reader.read("ledger", signal);
      expect(entries.map(({ judged }) => [judged.sequence, judged.isValid, judged.settledBy])).toEqual([
        [1, true, 2],
        [4, true, 5],
        [6, true, 7],
      ]);
      expect(entries[0]?.storedMs).toBe(archive.messages[0]?.storedMs);
      const again: JournalMessage[] = [];
      const trusted = { mesh: testMesh, keys: archiveKeys };
      for await (const message of readJournal(bus, "ledger", 1, 7, signal))
        again.push(storedOrFirst(message, "ledger", trusted));
      expect(again).toEqual(archive.messages); // an export of it is what was imported
    });

    test("keys hold, copies count for nothing, and it is not imported into again", async () => {
      const [first, fourth] = [await read(1), await read(4)];
      if (first === undefined || fourth === undefined) throw new Error("they were imported");
      await deps.access.once(
        () => ({ publish: ["ashlar.journal.ledger.>", "$JS.API.>"], subscribe: ["_INBOX_once.>"] }),
        signal,
        async (once) => {
          if (name !== "in memory") return;
          const repeat = { headers: { "Nats-Msg-Id": messageIdOf("k2") } };
          expect(await once.append(fourth.subject, Buffer.from("again"), repeat)).toBe(4);
          const headers = Object.fromEntries(
            [statementHeader, importedHeader].map((each) => [each, first.header(each) ?? ""]),
          );
          const copy = await once.append(first.subject, first.data, { headers });
          const found = await read(copy);
          expect(found && readJournalRecord(records, "ledger", found)).toBeUndefined();
        },
      );
      await expect(begin(1)).rejects.toThrow(/is not empty: sequences 1 to \d+ are there/);
    });
  });

for (const { name, program } of natsPrograms)
  test(`a journal whose beginning was let go keeps its sequences, on ${name}`, async () => {
    const nats = await startTestNats({ program });
    try {
      const bus = await nats.connect(await nats.controlPlaneUser());
      const deps: JournalImporterDeps = {
        ...{ mesh: testMesh, rootPublicKey, access: journalAccess(nats, bus), reader: archiveReader() },
        signer: archivePlane.signer,
        ledger: { trust: { list: () => [archiveTrust] } } as unknown as JournalImporterDeps["ledger"],
        isNamed: async () => false,
        specOf: async (service, rememberMs) => journalSpec({ service, rememberMs }, { maxBytes: 1e8, replicas: 1 }),
      };
      const archive = await makeArchive(true);
      await beginImport(deps, { ...wanted, mesh: testMesh, rootPublicKey, first: 3 }, signal);
      await importPage(deps, "ledger", archive.messages, [], signal);
      let done = false;
      for await (const told of finishImport(deps, { service: "ledger", ...archive }, signal)) done = told.done;
      expect(done).toBe(true);
      expect(await bus.streamInfo(stream)).toMatchObject({ firstSequence: 3, lastSequence: 8, dangers: [] });
    } finally {
      await nats.stop();
    }
  });
