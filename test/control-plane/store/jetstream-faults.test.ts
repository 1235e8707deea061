/** What happens to the ledger when NATS, a stream or a record is lost, doubled or forged. */

import { appendFile, mkdtemp, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "@jest/globals";
import type { Ledger } from "../../../control-plane/store/ledger.js";
import { bootstrapStreams } from "../../../control-plane/store/streams.js";
import { signActivation, signRevision, signTrust } from "../../../core/wire/records.js";
import { ingestSubject } from "../../../core/wire/subjects.js";
import { allStreams } from "../../../runtime/nats-permissions.js";
import { openTestLedger } from "../../support/jetstream-ledger.js";
import { startTestNats, type TestNats } from "../../support/nats.js";
import { buildActivation, buildRevision, buildTrust, createTestKey, testMesh } from "../../support/records.js";
import { untilTrue } from "../../support/until.js";

let nats: TestNats | undefined;
const ledgers: Ledger[] = [];
const root = createTestKey();
const key = createTestKey();

async function start(): Promise<{ nats: TestNats; dir: string; ledger: Ledger }> {
  nats = await startTestNats();
  const dir = await mkdtemp(join(nats.dir, "copy-"));
  const ledger = await open(nats, dir);
  await ledger.trust.append(signTrust(buildTrust([key]), testMesh, root.signer));
  return { nats, dir, ledger };
}
async function open(on: TestNats, dir?: string): Promise<Ledger> {
  const ledger = await openTestLedger(on, root, dir);
  ledgers.push(ledger);
  return ledger;
}
async function publish(ledger: Ledger, message: string) {
  const next = signRevision(buildRevision(ledger.revisions.head(), message), testMesh, key.signer);
  await ledger.revisions.append(next);
  return next;
}
/** Deletes every stream, as an operator with all rights can. */
async function loseStreams(on: TestNats): Promise<void> {
  const subjects = allStreams.map((name) => `$JS.API.STREAM.DELETE.${name}`);
  const bus = await on.connect(await on.user({ publish: subjects, subscribe: ["_INBOX_god.>"] }, "_INBOX_god"));
  for (const subject of subjects) await bus.append(subject, new Uint8Array()).catch(() => {});
  await bus.close();
}
async function makeStreams(on: TestNats): Promise<void> {
  const bus = await on.connect(await on.bootstrapUser());
  await bootstrapStreams(bus, { replicas: 1 });
  await bus.close();
}
/** Flips a bit of `record` in the server's first block of revisions while the server is stopped, and starts it again. */
async function flipOnServer(on: TestNats, record: Uint8Array): Promise<void> {
  const pid = on.servers[0]?.pid ?? 0;
  process.kill(pid, "SIGSTOP");
  const files = await readdir(on.dir, { recursive: true });
  const block = join(on.dir, files.find((file) => /ASHLAR_REVISIONS\/msgs\/1\.blk$/.test(file)) ?? "");
  const content = await readFile(block);
  const at = content.indexOf(record) + record.length - 20;
  expect(at).toBeGreaterThan(record.length);
  content[at] = (content[at] ?? 0) ^ 1;
  await writeFile(block, content);
  process.kill(pid, "SIGKILL");
  const bus = await on.connect(await on.controlPlaneUser("wait"));
  await untilTrue(async () => on.servers[0]?.pid !== pid && (await bus.streamInfo("ASHLAR_REVISIONS")) !== undefined);
  await bus.close();
}
afterEach(async () => {
  for (const ledger of ledgers.splice(0)) await ledger.close();
  await nats?.stop();
  nats = undefined;
});

describe("losing things", () => {
  test("kill -9 of the server keeps what was acknowledged, and the ledger goes on by itself", async () => {
    const { nats, ledger } = await start();
    const [server] = nats.servers;
    for (let i = 0; i < 20; i += 1) await publish(ledger, `before ${i}`);
    process.kill(server?.pid ?? 0, "SIGKILL");
    const next = signRevision(buildRevision(ledger.revisions.head(), "after"), testMesh, key.signer);
    await untilTrue(() => ledger.revisions.append(next).then(() => true));
    const other = await open(nats);
    expect(other.revisions.list()).toEqual(ledger.revisions.list());
    expect(other.revisions.list()).toHaveLength(21);
  });

  test("streams that were lost while it was down are rebuilt from the own copy, byte for byte", async () => {
    const { nats, dir, ledger } = await start();
    for (let i = 0; i < 3; i += 1) await publish(ledger, `r${i}`);
    const digest = await ledger.blobs.put(new Uint8Array(Buffer.alloc(700_000, 1)));
    const before = ledger.revisions.list();
    await ledger.close();
    await loseStreams(nats);
    await makeStreams(nats);
    const again = await open(nats, dir);
    expect(again.revisions.list()).toEqual(before);
    const other = await open(nats); // has no copy: sees the stream alone
    expect(other.revisions.list()).toEqual(before);
    expect(await other.blobs.get(digest)).toHaveLength(700_000);
    await publish(again, "goes on");
  });

  for (const runs of [true, false]) {
    test(`a bit that flips in the server's last block: told, nothing signed, nothing lost to an own copy; it ${runs ? "runs" : "is down"} meanwhile`, async () => {
      const { nats, dir, ledger } = await start();
      for (let i = 0; i < 5; i += 1) await publish(ledger, `r${i}`);
      const before = ledger.revisions.list();
      if (!runs) await ledger.close();
      await flipOnServer(nats, before[2]?.bytes ?? new Uint8Array());
      const own = runs ? ledger : await open(nats, dir);
      const said = /ASHLAR_REVISIONS does not give \d of its records.* nothing is signed/;
      await untilTrue(() => said.test(own.problems().join()));
      expect(own.revisions.list()).toEqual(before);
      await untilTrue(() => /loses what is appended too: delete that stream/.test(own.revisions.lack() ?? ""));
      await expect(publish(own, "over the gap")).rejects.toMatchObject({ code: "stale" });
      const fresh = await open(nats); // has no copy: what the stream gives is not all
      expect(fresh.problems().join()).toMatch(said);
      await expect(publish(fresh, "three again")).rejects.toMatchObject({ code: "stale" });

      await loseStreams(nats); // the remedy
      await makeStreams(nats);
      await untilTrue(() => own.problems().length === 0 && fresh.revisions.list().length === 5);
      await untilTrue(() => fresh.problems().length === 0);
      const six = await publish(own, "six");
      await untilTrue(() => fresh.revisions.find(6)?.digest === six.digest);
      expect(fresh.revisions.list()).toEqual([...before, six]);
    }, 60_000);
  }

  test("a bit that flips in an older block: what it cost is appended again, the head last, and the log goes on", async () => {
    const { nats, dir, ledger } = await start();
    const bus = await nats.connect(await nats.controlPlaneUser("filler"));
    const fill = (count: number) =>
      Array.from({ length: count }).reduce<Promise<unknown>>(
        (done) => done.then(() => bus.append(ingestSubject("revisions", 1), Buffer.alloc(800_000, count))),
        Promise.resolve(),
      );
    await fill(10); // a block takes 8 MiB
    for (let i = 0; i < 2; i += 1) await publish(ledger, `r${i}`);
    await fill(1);
    for (let i = 2; i < 4; i += 1) await publish(ledger, `r${i}`);
    const before = ledger.revisions.list();
    await ledger.close();
    await flipOnServer(nats, before[1]?.bytes ?? new Uint8Array());
    const fresh = await open(nats); // sees a head of 1
    expect(fresh.revisions.lack()).toMatch(/start a control plane that has its ledger folder/);
    await expect(publish(fresh, "two again")).rejects.toMatchObject({ code: "stale" });
    const own = await open(nats, dir);
    expect(own.revisions.list()).toEqual(before);
    await untilTrue(() => fresh.revisions.list().length === 4 && fresh.revisions.lack() === undefined);
    expect(own.problems().join()).toMatch(/they are in it again; look after that disk/);
    await bus.whenConnected();
    const last = await bus.leaderGet("ASHLAR_REVISIONS", { lastOf: "ashlar.log.revisions.*" });
    expect(last?.data).toEqual(before[3]?.bytes);
    const five = await publish(fresh, "five");
    await untilTrue(() => own.revisions.head()?.digest === five.digest);
    expect((await open(nats)).revisions.list()).toEqual([...before, five]);
  }, 60_000);

  test("streams that are lost while it runs are noticed, told, and filled when they are back", async () => {
    const { nats, ledger } = await start();
    await publish(ledger, "one");
    await loseStreams(nats);
    await untilTrue(() => ledger.problems().some((line) => /ASHLAR_REVISIONS is gone/.test(line)));
    await makeStreams(nats);
    await untilTrue(() => ledger.problems().length === 0);
    const other = await open(nats);
    expect(other.revisions.list()).toEqual(ledger.revisions.list());
  });

  test("a torn tail of the own copy is cut off, and the record read from the stream again", async () => {
    const { nats, dir, ledger } = await start();
    const one = await publish(ledger, "one");
    await ledger.close();
    const file = join(dir, "revisions.log");
    await truncate(file, (await readFile(file)).length - 5);
    const again = await open(nats, dir);
    expect(again.revisions.head()).toEqual(one);
    expect(again.problems()).toEqual([]);
    await again.close();
    await appendFile(file, "xx");
    expect((await open(nats, dir)).revisions.list()).toEqual([one]);
  });

  test("a flipped bit in the own copy is noticed, kept aside and healed from the stream", async () => {
    const { nats, dir, ledger } = await start();
    for (let i = 0; i < 3; i += 1) await publish(ledger, `r${i}`);
    const list = ledger.revisions.list();
    await ledger.close();
    const file = join(dir, "revisions.log");
    const content = await readFile(file);
    content[40] = (content[40] ?? 0) ^ 4;
    await writeFile(file, content);
    const again = await open(nats, dir);
    expect(again.revisions.list()).toEqual(list);
    expect(again.problems().join()).toMatch(/damaged at byte 0/);
  });

  test("an append that a crash cut short before the stream had it is completed at the next start", async () => {
    const { nats, dir, ledger } = await start();
    await publish(ledger, "one");
    const next = signRevision(buildRevision(ledger.revisions.head(), "cut short"), testMesh, key.signer);
    await ledger.close();
    await writeFile(join(dir, "revisions.intent"), next.bytes);
    expect((await open(nats, dir)).revisions.head()).toEqual(next);
  });
});

describe("I3: what is in the stream counts only if it holds", () => {
  test("junk, another mesh's records and strangers' are skipped, told, and do not stop the log", async () => {
    const { nats, ledger } = await start();
    const one = await publish(ledger, "one");
    const bus = await nats.connect(await nats.controlPlaneUser("evil"));
    const next = buildRevision(one, "forged");
    for (const bytes of [
      new Uint8Array(Buffer.from("junk")),
      signRevision(next, "other.mesh", key.signer).bytes,
      signRevision(next, testMesh, createTestKey().signer).bytes,
      signRevision({ ...next, number: 9 }, testMesh, key.signer).bytes,
    ]) {
      await bus.append(ingestSubject("revisions", 2), bytes);
    }
    await untilTrue(() => ledger.problems().length === 3);
    expect(ledger.revisions.head()).toEqual(one);
    expect(ledger.problems().join("\n")).toMatch(/2 record\(s\) do not hold/);
    expect(ledger.problems().join("\n")).toMatch(/1 record\(s\) are skipped, signed by keys that are not trusted/);
    expect(ledger.problems().join("\n")).toMatch(/1 record\(s\) do not follow/);
    const two = await publish(ledger, "two");
    expect((await open(nats)).revisions.list()).toEqual([one, two]);
  });

  test("two committed records of one number are a conflict until the next higher one settles it, either way", async () => {
    for (const winner of [0, 1]) {
      const { nats: own, ledger } = await start();
      const one = await publish(ledger, "one");
      const rivals = ["left", "right"].map((side) => signRevision(buildRevision(one, side), testMesh, key.signer));
      const bus = await own.connect(await own.controlPlaneUser("both"));
      for (const rival of rivals) await bus.append(ingestSubject("revisions", 2), rival.bytes);
      await untilTrue(() => ledger.revisions.blocking()?.key === 2);
      expect(ledger.revisions.conflicts()).toHaveLength(1);
      const three = signRevision(buildRevision(rivals[winner], "three"), testMesh, key.signer);
      await bus.append(ingestSubject("revisions", 3), three.bytes);
      await untilTrue(() => ledger.revisions.head()?.digest === three.digest);
      await untilTrue(() => ledger.revisions.conflicts().length === 0);
      expect(ledger.revisions.list()).toEqual([one, rivals[winner], three]);
      await ledger.close();
      ledgers.length = 0;
      await own.stop();
    }
  });

  test("records that no key was known for are judged again when trust names it", async () => {
    const { nats, ledger } = await start();
    const later = createTestKey();
    const early = signRevision(buildRevision(undefined, "early"), testMesh, later.signer);
    const bus = await nats.connect(await nats.controlPlaneUser("early"));
    await bus.append(ingestSubject("revisions", 1), early.bytes);
    await untilTrue(() => ledger.problems().length === 1);
    const trust = buildTrust([key, later], ledger.trust.head());
    await ledger.trust.append(signTrust(trust, testMesh, root.signer));
    expect(ledger.revisions.head()).toEqual(early);
    expect(ledger.problems()).toEqual([]);
  });

  test("what a dropped key signs is skipped and told, until an activation under a trusted key names it", async () => {
    const { nats, ledger } = await start();
    const one = await publish(ledger, "one");
    const successor = createTestKey();
    await ledger.trust.append(signTrust(buildTrust([successor], ledger.trust.head()), testMesh, root.signer));
    const bus = await nats.connect(await nats.controlPlaneUser("dropped"));
    const late = signRevision(buildRevision(one, "late"), testMesh, key.signer);
    await bus.append(ingestSubject("revisions", 2), late.bytes);
    await untilTrue(() => ledger.problems().some((line) => /trusted no more/.test(line)));
    expect(ledger.revisions.list()).toEqual([one]);
    const activation = signActivation(buildActivation(undefined, late), testMesh, successor.signer);
    await ledger.activations.append(activation);
    expect(ledger.revisions.list()).toEqual([one, late]);
    expect(ledger.problems()).toEqual([]);
    const other = await open(nats); // has no copy that says it was verified before
    expect(other.revisions.list()).toEqual([one, late]);
  });

  test("what a dropped key signed afterwards is no history after a restart either: the own copy does not vouch for it", async () => {
    const { nats, dir, ledger } = await start();
    const one = await publish(ledger, "one");
    const successor = createTestKey();
    await ledger.trust.append(signTrust(buildTrust([successor], ledger.trust.head()), testMesh, root.signer));
    const bus = await nats.connect(await nats.controlPlaneUser("thief"));
    const late = signRevision(buildRevision(one, "stolen"), testMesh, key.signer);
    await bus.append(ingestSubject("revisions", 2), late.bytes);
    await untilTrue(() => ledger.problems().some((line) => /trusted no more/.test(line)));
    await ledger.close();
    ledgers.length = 0;
    const again = await open(nats, dir);
    expect(again.revisions.list()).toEqual([one]);
    expect(again.problems().join()).toMatch(/trusted no more/);
    const next = signRevision(buildRevision(one, "under the successor"), testMesh, successor.signer);
    await again.revisions.append(next);
    expect(again.revisions.list()).toEqual([one, next]);
  });

  test("a stream with a dangerous configuration is refused by name", async () => {
    const { nats } = await start();
    await loseStreams(nats);
    const subjects = ["$JS.API.STREAM.CREATE.ASHLAR_REVISIONS"];
    const evil = await nats.connect(await nats.user({ publish: subjects, subscribe: ["_INBOX_e.>"] }, "_INBOX_e"));
    const config = { name: "ASHLAR_REVISIONS", subjects: ["ashlar.log.revisions.*"], max_msgs: 1, storage: "memory" };
    await evil.append(subjects[0] ?? "", new Uint8Array(Buffer.from(JSON.stringify(config)))).catch(() => {});
    await expect(makeStreams(nats)).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringMatching(/stream ASHLAR_REVISIONS .*max_msgs 1; storage memory.*denyDelete is false/),
    });
  });
});
