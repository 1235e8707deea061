/** I9 for journals: what NATS itself refuses, and whom it lets read what, on real servers. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { connect, jwtAuthenticator, type NatsConnection } from "nats";
import { createJournalKeeper, type JournalKeeper } from "../../control-plane/journal/journal-keeper.js";
import {
  journaledPrefix,
  journalSealSubject,
  journalStream,
  journalSubject,
  proxyInbox,
} from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import { silentLogger } from "../../runtime/log.js";
import { bootstrapPermissions, proxyPermissions } from "../../runtime/nats-permissions.js";
import { journalAccess } from "../support/journal-access.js";
import { startTestNats, type TestNats, type TestUser } from "../support/nats.js";
import { natsPrograms } from "../support/nats-programs.js";

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const hourMs = 3_600_000;
const signal = new AbortController().signal;
const stream = journalStream("ledger");
const entry = journalSubject("ledger", "entry", "u");

for (const { name: server, program } of natsPrograms)
  describe(`a journal on ${server}`, () => {
    let nats: TestNats;
    let planeUser: TestUser;
    let proxyUser: TestUser;
    let plane: Bus;
    let proxy: Bus;
    let other: Bus;
    let keeper: JournalKeeper;
    const raws: NatsConnection[] = [];

    beforeAll(async () => {
      nats = await startTestNats({ program });
      planeUser = await nats.controlPlaneUser();
      proxyUser = await nats.proxyUser("ledger", "p1");
      plane = await nats.connect(planeUser);
      proxy = await nats.connect(proxyUser);
      other = await nats.connect(await nats.proxyUser("shop", "p2"));
      keeper = createJournalKeeper({
        access: journalAccess(nats, plane),
        log: silentLogger,
        freeBytes: async () => 1e9,
      });
      await keeper.prepare(
        [
          { service: "ledger", rememberMs: hourMs },
          { service: "shop", rememberMs: 0 },
        ],
        signal,
      );
      await proxy.append(entry, bytes("first"), { headers: { "Nats-Msg-Id": "one" } });
    });
    afterAll(async () => {
      await Promise.all(raws.map((raw) => raw.close()));
      await nats?.stop();
    });

    async function refused(user: TestUser, subject: string, request: object = {}): Promise<void> {
      const { jwt, seed, inboxPrefix } = user;
      const authenticator = jwtAuthenticator(jwt, Buffer.from(seed));
      const raw = await connect({ servers: nats.url, authenticator, inboxPrefix });
      raws.push(raw);
      const asked = raw.request(subject, JSON.stringify(request), { timeout: 20_000 });
      await expect(asked).rejects.toMatchObject({ code: "PERMISSIONS_VIOLATION" });
    }

    test("is made with the bounds of the disk and the time of its keys, which only becomes longer", async () => {
      const info = await plane.streamInfo(stream);
      expect(info?.spec).toMatchObject({
        discard: "new",
        denyDelete: true,
        denyPurge: true,
        duplicateWindowMs: hourMs,
      });
      expect(info?.spec.maxBytes).toBeLessThan(400_000_000);
      await keeper.prepare([{ service: "ledger", rememberMs: 2 * hourMs }], signal);
      expect((await plane.streamInfo(stream))?.spec.duplicateWindowMs).toBe(2 * hourMs);
      await keeper.prepare([{ service: "ledger", rememberMs: hourMs }], signal);
      expect(await plane.streamInfo(stream)).toMatchObject({ spec: { duplicateWindowMs: 2 * hourMs }, messages: 1 });
    });

    for (const [who, user] of [
      ["the daily credential of a control plane", () => planeUser],
      ["a proxy's credential", () => proxyUser],
    ] as const)
      test(`${who} may not update, delete or purge it, nor delete a message, nor make another`, async () => {
        await refused(user(), `$JS.API.STREAM.UPDATE.${stream}`, { name: stream, max_msgs: 1 });
        await refused(user(), `$JS.API.STREAM.DELETE.${stream}`);
        await refused(user(), `$JS.API.STREAM.PURGE.${stream}`);
        await refused(user(), `$JS.API.STREAM.MSG.DELETE.${stream}`, { seq: 1 });
        await refused(user(), `$JS.API.STREAM.CREATE.${journalStream("x")}`, { name: journalStream("x") });
        await refused(user(), `$JS.API.CONSUMER.CREATE.${stream}`, { config: { deliver_subject: "x" } });
      });

    test("the credential of the start may not change it either", async () => {
      const user = await nats.user(bootstrapPermissions("_INBOX_b"), "_INBOX_b");
      await refused(user, `$JS.API.STREAM.UPDATE.${stream}`, { name: stream, max_msgs: 1 });
      await refused(user, `$JS.API.STREAM.DELETE.${stream}`);
    });

    test("a proxy of the service appends and reads, and the first of an id is the only one", async () => {
      const again = await proxy.append(entry, bytes("second"), { headers: { "Nats-Msg-Id": "one" } });
      expect(again).toBe(1);
      expect((await proxy.directGet(stream, { sequence: 1 }))?.data).toEqual(bytes("first"));
      expect((await proxy.directGet(stream, { lastOf: entry }))?.sequence).toBe(1);
      expect((await proxy.directGet(stream, { nextOf: "ashlar.journal.ledger.entry.*", from: 1 }))?.sequence).toBe(1);
    });

    test("its proxies hear headers alone, with the sequence of the last one of the subject", async () => {
      const heard = proxy.subscribe(`${journaledPrefix("ledger")}.>`);
      await proxy.flush();
      const first = await proxy.append(entry, bytes("a"));
      const second = await proxy.append(entry, bytes("b"));
      const seen: [string, string | undefined, string | undefined, number][] = [];
      for await (const message of heard) {
        const { subject, data } = message;
        seen.push([subject, message.header("Nats-Sequence"), message.header("Nats-Last-Sequence"), data.length]);
        if (seen.length === 2) break;
      }
      heard.close();
      const to = `${journaledPrefix("ledger")}.entry.u`;
      expect(seen).toEqual([
        [to, `${first}`, "1", 0],
        [to, `${second}`, `${first}`, 0],
      ]);
    });

    for (const [what, subject] of [
      ["an entry", entry],
      ["an outcome", journalSubject("ledger", "outcome", "u")],
      ["a resolution", journalSubject("ledger", "resolution", "u")],
      ["a seal", journalSealSubject("ledger")],
    ] as const)
      test(`a proxy of another service may not write ${what}`, async () => {
        await expect(other.append(subject, bytes("x"))).rejects.toMatchObject({ code: "denied" });
      });

    test("a proxy of another service reads nothing of it, by sequence, by subject or as it is republished", async () => {
      await expect(other.directGet(stream, { sequence: 1 })).rejects.toMatchObject({ code: "denied" });
      await expect(other.directGet(stream, { lastOf: entry })).rejects.toMatchObject({ code: "denied" });
      const user = await nats.proxyUser("shop", "p3");
      const raw = await connect({
        servers: nats.url,
        authenticator: jwtAuthenticator(user.jwt, Buffer.from(user.seed)),
        inboxPrefix: user.inboxPrefix,
      });
      raws.push(raw);
      for (const subject of ["ashlar.journaled.ledger.>", "ashlar.journaled.>", "ashlar.journal.ledger.>"]) {
        const failure = new Promise<unknown>((resolve) =>
          raw.subscribe(subject, { callback: (error) => resolve(error) }),
        );
        expect(await failure).toMatchObject({ code: "PERMISSIONS_VIOLATION" });
      }
    });

    test("its own proxies may not write what control planes say, nor control planes what proxies say", async () => {
      for (const subject of [journalSealSubject("ledger"), journalSubject("ledger", "resolution", "u")]) {
        await expect(proxy.append(subject, bytes("x"))).rejects.toMatchObject({ code: "denied" });
        expect(await plane.append(subject, bytes("x"))).toBeGreaterThan(0);
      }
      await expect(plane.append(entry, bytes("x"))).rejects.toMatchObject({ code: "denied" });
    });

    test("where one account is for all, a proxy reaches its own service's journal and no other, too", async () => {
      const shared = async (service: string, id: string) =>
        nats.connect(await nats.user(proxyPermissions(service, id), proxyInbox(id)));
      const [own, foreign] = [await shared("ledger", "p8"), await shared("shop", "p9")];
      expect((await own.directGet(stream, { sequence: 1 }))?.data).toEqual(bytes("first"));
      expect(await own.append(entry, bytes("shared"))).toBeGreaterThan(1);
      await expect(foreign.directGet(stream, { sequence: 1 })).rejects.toMatchObject({ code: "denied" });
      await expect(foreign.append(entry, bytes("x"))).rejects.toMatchObject({ code: "denied" });
    });

    test("a stream that could lose what is in it is refused, with the reason", async () => {
      const bus = await nats.connect(await nats.user({ publish: [">"], subscribe: [">"] }, "_INBOX_all"));
      const found = (await plane.streamInfo(stream))?.spec;
      if (found === undefined) throw new Error("no stream");
      const lossy = { ...found, name: journalStream("lossy"), subjects: ["ashlar.journal.lossy.>"], denyDelete: false };
      await bus.createStream({ ...lossy, republish: undefined });
      const prepared = keeper.prepare([{ service: "lossy", rememberMs: 0 }], signal);
      await expect(prepared).rejects.toThrow(/journal of lossy cannot be made ready.*denyDelete is false, not true/);
    });

    test("a full journal refuses, and keeps what it has", async () => {
      const bus = await nats.connect(await nats.user({ publish: [">"], subscribe: [">"] }, "_INBOX_full"));
      const found = await plane.streamInfo(journalStream("shop"));
      if (found === undefined) throw new Error("no stream");
      await bus.updateStream({ ...found.spec, maxBytes: 64 * 1024 });
      const write = () => other.append(journalSubject("shop", "entry", "u"), new Uint8Array(20_000));
      const refusal = (async () => {
        for (let count = 0; count < 10; count++) await write();
      })();
      await expect(refusal).rejects.toMatchObject({ code: "limit" });
      expect((await other.directGet(journalStream("shop"), { sequence: 1 }))?.data.length).toBe(20_000);
    });
  });
