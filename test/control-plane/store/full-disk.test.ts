/** A ledger whose own copy cannot be written for a while: what it answers, and what is there afterwards. */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { FaultyDisk } from "../../support/faulty-disk.js";

const base = fs.mkdtempSync(join(tmpdir(), "ash-full-"));
afterAll(() => fs.rmSync(base, { recursive: true, force: true }));
const disk = new FaultyDisk(join(base, "ledger", "revisions.log"));
jest.unstable_mockModule("node:fs", () => disk.fs);
jest.unstable_mockModule("node:fs/promises", () => disk.promises);

// only now: whatever imports the sources before holds on to the real disk
const { signRevision, signTrust } = await import("../../../core/wire/records.js");
const { allStreams } = await import("../../../runtime/nats-permissions.js");
const { bootstrapStreams } = await import("../../../control-plane/store/streams.js");
const { openTestLedger } = await import("../../support/jetstream-ledger.js");
const { startTestNats } = await import("../../support/nats.js");
const { buildRevision, buildTrust, createTestKey, testMesh } = await import("../../support/records.js");

const dir = join(base, "ledger");
const [root, key] = [createTestKey(), createTestKey()];
let nats: Awaited<ReturnType<typeof startTestNats>>;
let ledger: Awaited<ReturnType<typeof openTestLedger>>;

beforeEach(async () => {
  fs.rmSync(dir, { recursive: true, force: true });
  nats = await startTestNats();
  ledger = await openTestLedger(nats, root, dir);
  await ledger.trust.append(signTrust(buildTrust([key]), testMesh, root.signer));
  await publish("one");
});
afterEach(async () => {
  disk.heal();
  await ledger.close();
  await nats.stop();
});

const publish = (message: string) =>
  ledger.revisions.append(signRevision(buildRevision(ledger.revisions.head(), message), testMesh, key.signer));
const messages = () => ledger.revisions.list().map(({ body }) => body.message);

async function loseStreams(): Promise<void> {
  const subjects = allStreams.map((name) => `$JS.API.STREAM.DELETE.${name}`);
  const bus = await nats.connect(await nats.user({ publish: subjects, subscribe: ["_INBOX_god.>"] }, "_INBOX_god"));
  for (const subject of subjects) await bus.append(subject, new Uint8Array()).catch(() => {});
  await bus.close();
  const maker = await nats.connect(await nats.bootstrapUser());
  await bootstrapStreams(maker, { replicas: 1 });
  await maker.close();
}

for (const fault of ["ENOSPC", "EIO"] as const) {
  test(`${fault}: the record that was committed is told and stays on disk, and none comes after it`, async () => {
    const told: string[] = [];
    ledger.revisions.onRecord(({ body }) => void told.push(body.message));
    disk.failAfter(5, fault);
    await publish("two");
    expect(told).toEqual(["two"]);
    expect(ledger.problems()).toEqual([expect.stringMatching(/^revisions: .*own copy lacks records.*the disk /)]);
    await expect(publish("three")).rejects.toMatchObject({
      code: "unavailable",
      message: expect.stringMatching(/cannot write .*revisions\.log: the disk (is full|has a fault)/),
    });
    await ledger.close();
    await loseStreams();
    disk.heal();
    ledger = await openTestLedger(nats, root, dir);
    expect(messages()).toEqual(["one", "two"]);
  });
}

test("it goes on by itself once there is room, and the copy has everything", async () => {
  disk.failAfter(5, "ENOSPC");
  await publish("two");
  disk.heal();
  await publish("three");
  expect(ledger.problems()).toEqual([]);
  await ledger.close();
  await loseStreams();
  ledger = await openTestLedger(nats, root, dir);
  expect(messages()).toEqual(["one", "two", "three"]);
});

test("a start while the disk is still full keeps what only the intent has, and settles it later", async () => {
  disk.failAfter(5, "ENOSPC");
  await publish("two");
  await ledger.close();
  disk.failAfter(5, "ENOSPC"); // the empty sync of a start works on a full disk
  ledger = await openTestLedger(nats, root, dir);
  expect(ledger.problems()).toEqual([expect.stringContaining("own copy lacks records")]);
  await ledger.close();
  await loseStreams();
  disk.heal();
  ledger = await openTestLedger(nats, root, dir);
  expect(messages()).toEqual(["one", "two"]);
});
