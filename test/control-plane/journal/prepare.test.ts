import { expect, test } from "@jest/globals";
import { createJournalKeeper } from "../../../control-plane/journal/journal-keeper.js";
import { closedSpec } from "../../../control-plane/journal/journal-retainer.js";
import { lookAtJournals } from "../../../control-plane/journal/journal-watch.js";
import { createJournalPreparer, wantedJournals } from "../../../control-plane/journal/wanted-journals.js";
import { createPolicyReader } from "../../../control-plane/publish/policy-reader.js";
import { createPublisher } from "../../../control-plane/publish/publisher.js";
import { SnapshotStore } from "../../../control-plane/publish/snapshot-store.js";
import { AshlarError } from "../../../core/errors.js";
import { journalKeySubject, journalKeysStream, journalStream, journalSubject } from "../../../core/wire/subjects.js";
import { silentLogger } from "../../../runtime/log.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";
import { controlPlanePermissions } from "../../../runtime/nats-permissions.js";
import { testHolder } from "../../support/holder.js";
import { ManualClock } from "../../support/manual-clock.js";
import { PlainLedger } from "../../support/plain-ledger.js";
import { createTestKey, testAuthor, testMesh } from "../../support/records.js";

const caller = { id: testAuthor, source: "127.0.0.1:5000" };
const policy = (remember = "24h") =>
  `kind: Service\nname: ledger\n---\nkind: Journal\nname: writes\nservice: ledger\nmode: before\nresponse: bytes\n` +
  `methods: ["*"]\nidempotencyKey: request.headers["k"]\nrememberKeys: ${remember}\n`;
const stream = journalStream("ledger");
const signal = new AbortController().signal;

class World {
  readonly clock = new ManualClock();
  readonly broker = new MemoryBroker(this.clock);
  readonly bus = this.broker.connect(controlPlanePermissions("_INBOX_cp"));
  readonly ledger = new PlainLedger();
  readonly snapshots = new SnapshotStore(this.ledger.blobs);
  /** How often a one-time credential was made; it fails while `refusing`. */
  credentials = 0;
  refusing = false;
  free = 1e9;
  /** Called when a one-time credential is made, before it is used. */
  atOnce: () => Promise<void> = async () => {};
  readonly keeper = createJournalKeeper({
    access: {
      bus: this.bus,
      once: async (permissions, _signal, work) => {
        this.credentials += 1;
        await this.atOnce();
        if (this.refusing) throw new AshlarError("unavailable", "insufficient storage resources available");
        await work(this.broker.connect(permissions("_INBOX_once")));
      },
    },
    log: silentLogger,
    freeBytes: async () => this.free,
  });
  readonly preparer = createJournalPreparer(this.keeper, this.snapshots, signal);
  readonly publisher = createPublisher({
    mesh: testMesh,
    revisions: this.ledger.revisions,
    snapshots: this.snapshots,
    knownVersions: () => new Map(),
    knownIssuers: () => new Set<string>(),
    signer: createTestKey().signer,
    audit: { record: async () => {} },
    clock: this.clock,
    journals: this.preparer,
  });

  publish(content: string) {
    const files = [{ name: "shop.yaml", content }];
    return this.publisher.publish({ files, message: "why", parent: undefined }, caller);
  }
}

test("publishing makes the stream of a journal first, once, and a dry run makes none", async () => {
  const world = new World();
  const reader = createPolicyReader({
    ...world,
    mesh: testMesh,
    rootPublicKey: createTestKey().publicKey,
    heartbeatOf: () => undefined,
  });
  await reader.validate([{ name: "shop.yaml", content: policy() }]);
  expect([world.credentials, await world.bus.streamInfo(stream)]).toEqual([0, undefined]);
  const { revision } = await world.publish(policy());
  expect(revision?.body.number).toBe(1);
  expect((await world.bus.streamInfo(stream))?.spec).toMatchObject({ duplicateWindowMs: 86_400_000, discard: "new" });
  await world.publish(`${policy()}---\nkind: Service\nname: shop\n`);
  expect(world.credentials).toBe(1);
});

test("a journal leaves room on the disk for the data keys of its private fields", async () => {
  const boundOf = async (content: string): Promise<number> => {
    const world = new World();
    await world.publish(content);
    return (await world.bus.streamInfo(stream))?.spec.maxBytes ?? 0;
  };
  const hidden = `private:\n  subject: request.headers["k"]\n  holder: ${testHolder.publicKey}\n  fields: [a.B/C request.1]\n`;
  const [plain, withKeys] = [await boundOf(policy()), await boundOf(policy() + hidden)];
  expect(plain - withKeys).toBeGreaterThan(100 * 1024 * 1024); // half of their 256 MiB, less the reserve's part
});

test("keys that are remembered longer lengthen the window; shorter ones leave it, for a rollback needs it", async () => {
  const world = new World();
  await world.publish(policy("1h"));
  await world.publish(policy("48h"));
  await world.publish(policy("2h"));
  expect((await world.bus.streamInfo(stream))?.spec.duplicateWindowMs).toBe(172_800_000);
});

test("a policy whose journal cannot be made is not published, and the reason is told", async () => {
  const world = new World();
  world.refusing = true;
  await expect(world.publish(policy())).rejects.toThrow(/journal of ledger cannot be made ready.*insufficient storage/);
  expect(world.ledger.revisions.head()).toBeUndefined();
  world.refusing = false;
  world.free = 1024 * 1024;
  await expect(world.publish(policy())).rejects.toThrow(/has 1.0 MiB .* free, and 1 new journals need/);
  world.free = 1e9;
  const { revision } = await world.publish(policy());
  world.broker.deleteStream(stream);
  world.refusing = true;
  if (revision === undefined) throw new Error("not published");
  await expect(world.preparer.forRevision(revision)).rejects.toMatchObject({ code: "unavailable" });
});

test("status names a journal that is gone, and one that is getting full, long before", async () => {
  const world = new World();
  world.free = 24 * 1024 * 1024;
  const { revision } = await world.publish(policy());
  const wanted = async () => wantedJournals(await world.snapshots.load(revision?.body.snapshot));
  const look = async () => lookAtJournals({ bus: world.bus, clock: world.clock, wanted });
  expect(await look()).toEqual([]);
  const writer = world.broker.connect();
  for (let at = 0; at < 9; at += 1)
    await writer.append(journalSubject("ledger", "entry", "u"), new Uint8Array(400 * 1024));
  expect(await look()).toMatchObject([
    { code: "journal", subject: "ledger", message: expect.stringContaining("is 87 % full") },
  ]);
  world.broker.deleteStream(stream);
  expect(await look()).toMatchObject([{ message: expect.stringContaining(`stream ${stream} is not there`) }]);
});

test("status names data keys that cannot be stored, and ones whose stream is getting full", async () => {
  const world = new World();
  const keys = journalKeysStream("ledger");
  const wanted = async () => [{ service: "ledger", hasPrivate: true, rememberMs: 0 }];
  const look = async () => lookAtJournals({ bus: world.bus, clock: world.clock, wanted });
  await world.keeper.prepare(await wanted(), signal);
  expect(await look()).toEqual([]);
  const owner = world.broker.connect();
  const { spec } = (await owner.streamInfo(keys)) ?? {};
  if (spec === undefined) throw new Error("no stream of data keys");
  await owner.updateStream({ ...spec, maxBytes: 20_000 });
  for (let at = 0; at < 4; at += 1)
    await owner.append(journalKeySubject("ledger", "s".repeat(32), `${at}`.repeat(32)), new Uint8Array(4000));
  expect(await look()).toMatchObject([
    {
      code: "journal",
      subject: "ledger",
      message: expect.stringMatching(/data keys of ledger.* fill 8\d % of stream/),
    },
  ]);
  world.broker.deleteStream(keys);
  expect(await look()).toMatchObject([{ message: expect.stringContaining(`stream ${keys} is not there`) }]);
  await world.keeper.prepare(await wanted(), signal);
  expect(await look()).toEqual([]);
});

test("status names writes whose private fields are stored in clear, since no descriptor describes them", async () => {
  const world = new World();
  const plain = { service: "ledger", hasPrivate: true, rememberMs: 0 };
  await world.keeper.prepare([plain], signal);
  const look = (...undescribed: string[]) =>
    lookAtJournals({ bus: world.bus, clock: world.clock, wanted: async () => [{ ...plain, undescribed }] });
  expect(await look()).toEqual([]);
  expect(await look("bank.Extra/Close")).toMatchObject([
    {
      ...{ code: "journal", subject: "ledger" },
      message: expect.stringMatching(/^no descriptor describes bank\.Extra\/Close: .* stored in clear; apply/),
    },
  ]);
  expect(await look("*")).toMatchObject([{ message: expect.stringContaining("let Service ledger state its methods") }]);
});

test("what the disk has room for is given to no journal that somebody else changes at the same moment", async () => {
  const world = new World();
  const wanted = [{ service: "ledger", rememberMs: 0 }];
  await world.keeper.prepare(wanted, signal);
  const owner = world.broker.connect();
  const spec = async () => (await owner.streamInfo(stream))?.spec ?? never();
  const made = await spec();
  world.free = made.maxBytes === undefined ? 0 : made.maxBytes / 2;

  await owner.updateStream(closedSpec(made)); // its beginning is let go
  await world.keeper.fit(signal);
  expect(await spec()).toEqual(closedSpec(made));

  await owner.updateStream({ ...made, denyPurge: false, noAck: true }); // it is imported
  await world.keeper.fit(signal);
  expect((await spec()).noAck).toBe(true);

  await owner.updateStream(made);
  const longer = { ...made, duplicateWindowMs: 3_600_000 };
  world.atOnce = () => owner.updateStream(longer); // between the look and the change
  await world.keeper.fit(signal);
  expect(await spec()).toEqual(longer);

  world.atOnce = async () => {};
  await world.keeper.fit(signal);
  const { maxBytes, ...rest } = await spec();
  expect({ ...rest, maxBytes: made.maxBytes }).toEqual(longer);
  expect(maxBytes).toBeLessThan(made.maxBytes ?? 0);
});

function never(): never {
  throw new Error("the stream is not there");
}
