/** The exception to I9: what may be erased of data keys, and by whom, on real servers. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createJournalKeeper, type JournalKeeper } from "../../control-plane/journal/journal-keeper.js";
import { shredSubject } from "../../control-plane/journal/journal-shredder.js";
import { subjectTokenOf } from "../../core/journal/journal-key.js";
import { journalKeySubject, journalKeysStream, journalStream } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import { silentLogger } from "../../runtime/log.js";
import { shredPermissions } from "../../runtime/nats-permissions.js";
import { journalAccess } from "../support/journal-access.js";
import { startTestNats, type TestNats } from "../support/nats.js";
import { natsPrograms } from "../support/nats-programs.js";

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const signal = new AbortController().signal;
const stream = journalKeysStream("ledger");
const keyOf = (subject: string, id: string): string =>
  journalKeySubject("ledger", subjectTokenOf("ledger", subject), id.repeat(32));
const caller = { id: "spiffe://demo/operator/admin", source: "test" } as Parameters<typeof shredSubject>[2];
const shredded = { service: "ledger", subject: "ada", reason: "asked for it", dryRun: false };

for (const { name: server, program } of natsPrograms)
  describe(`data keys on ${server}`, () => {
    let nats: TestNats;
    let plane: Bus;
    let proxy: Bus;
    let keeper: JournalKeeper;
    const noted: string[] = [];

    beforeAll(async () => {
      nats = await startTestNats({ program });
      plane = await nats.connect(await nats.controlPlaneUser());
      proxy = await nats.connect(await nats.proxyUser("ledger", "p1"));
      const access = journalAccess(nats, plane);
      keeper = createJournalKeeper({ access, log: silentLogger, freeBytes: async () => 1e9 });
      await keeper.prepare([{ service: "ledger", rememberMs: 0 }], signal);
      expect(await plane.streamInfo(stream)).toBeUndefined();
      await keeper.prepare([{ service: "ledger", rememberMs: 0, hasPrivate: true }], signal);
      await proxy.append(keyOf("ada", "a"), bytes("one of ada"));
      await proxy.append(keyOf("eve", "a"), bytes("one of eve"));
      await proxy.append(keyOf("ada", "b"), bytes("another of ada"));
    });
    afterAll(() => nats?.stop());

    const shred = (of: Partial<typeof shredded> = {}) => {
      const record = async ({ action, target, outcome }: { action: string; target: string; outcome: string }) => {
        noted.push(`${action} ${target} ${outcome}`);
      };
      const audit = { record } as Parameters<typeof shredSubject>[0]["audit"];
      return shredSubject({ access: journalAccess(nats, plane), audit }, { ...shredded, ...of }, caller, signal);
    };

    test("a key is written once, and no daily credential erases or changes it", async () => {
      await expect(proxy.append(keyOf("ada", "a"), bytes("mine"))).rejects.toMatchObject({ code: "exists" });
      for (const bus of [plane, proxy]) {
        await expect(bus.eraseMessage(stream, 1)).rejects.toMatchObject({ code: "denied" });
        await expect(bus.deleteStream(stream)).rejects.toMatchObject({ code: "denied" });
      }
      expect((await proxy.directGet(stream, { lastOf: keyOf("ada", "a") }))?.data).toEqual(bytes("one of ada"));
    });

    test("a proxy of another service neither writes nor reads them", async () => {
      const other = await nats.connect(await nats.proxyUser("shop", "p2"));
      await expect(other.append(keyOf("ada", "c"), bytes("x"))).rejects.toMatchObject({ code: "denied" });
      await expect(other.directGet(stream, { sequence: 1 })).rejects.toMatchObject({ code: "denied" });
    });

    test("the credential that erases keys reaches those of its service alone, and no journal", async () => {
      const inbox = "_INBOX_shred";
      const one = await nats.connect(await nats.user(shredPermissions("shop", inbox), inbox));
      await expect(one.eraseMessage(stream, 1)).rejects.toMatchObject({ code: "denied" });
      await expect(one.eraseMessage(journalStream("shop"), 1)).rejects.toMatchObject({ code: "denied" });
    });

    test("shredding erases all keys of the subject and of nobody else, and the audit log does not name it", async () => {
      expect(await shred({ dryRun: true })).toBe(2);
      await expect(shred({ reason: " " })).rejects.toMatchObject({ code: "invalid_argument" });
      await expect(shred({ subject: "" })).rejects.toMatchObject({ code: "invalid_argument" });
      expect(await shred()).toBe(2);
      await expect(shred()).rejects.toMatchObject({ code: "not_found" });
      expect(await plane.leaderGet(stream, { sequence: 1 })).toBeUndefined();
      expect((await plane.leaderGet(stream, { sequence: 2 }))?.data).toEqual(bytes("one of eve"));
      const token = subjectTokenOf("ledger", "ada");
      expect(noted).toEqual([`shred ledger subject ${token} ok`, `shred ledger subject ${token} not_found`]);
    });

    test("a stream that is there and is another one keeps the policy from being published", async () => {
      const inbox = "_INBOX_spoil";
      const everything = { publish: ["$JS.API.>"], subscribe: [`${inbox}.>`] };
      const bus = await nats.connect(await nats.user(everything, inbox));
      const info = await bus.streamInfo(stream);
      if (info !== undefined) await bus.updateStream({ ...info.spec, discardNewPerSubject: false });
      const prepared = keeper.prepare([{ service: "ledger", rememberMs: 0, hasPrivate: true }], signal);
      await expect(prepared).rejects.toThrow(/is not what data keys need: discardNewPerSubject is false/);
    });
  });
