/** A data folder was put back from a backup and signed a number again that the fleet has seen under another record. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "@jest/globals";
import { createActivator } from "../../../control-plane/activate/activator.js";
import { createPublisher } from "../../../control-plane/publish/publisher.js";
import { SnapshotStore } from "../../../control-plane/publish/snapshot-store.js";
import { type Chooser, createChooser } from "../../../control-plane/recover/chooser.js";
import { conflictProblems, findConflicts } from "../../../control-plane/recover/conflicts.js";
import { FloorGuard } from "../../../control-plane/recover/floor-guard.js";
import { OfferDesk } from "../../../control-plane/recover/offer-desk.js";
import { holdMs } from "../../../control-plane/recover/seen-claims.js";
import type { Ledger } from "../../../control-plane/store/ledger.js";
import { LogIndex } from "../../../control-plane/store/log-index.js";
import { activationLaw } from "../../../control-plane/store/log-laws.js";
import { LogRivals } from "../../../control-plane/store/log-rivals.js";
import { openRivalFile } from "../../../control-plane/store/rival-file.js";
import { type Digest, digestOf } from "../../../core/digest.js";
import type { Activation, Revision, Signed, Trust } from "../../../core/model.js";
import { buildSnapshot } from "../../../core/snapshot/build.js";
import type { HeldRecord } from "../../../core/wire/offers.js";
import { keySetOf, signActivation, signRevision, signTrust } from "../../../core/wire/records.js";
import { buildHeartbeat, FakeFleet } from "../../support/fake-fleet.js";
import { ManualClock } from "../../support/manual-clock.js";
import { openMemoryLedger } from "../../support/memory-ledger.js";
import { noOrders } from "../../support/no-orders.js";
import {
  buildActivation,
  buildRevision,
  buildTrust,
  createTestKey,
  present,
  testAuthor,
  testMesh,
} from "../../support/records.js";

const root = createTestKey();
const key = createTestKey();
const trust = signTrust(buildTrust([key]), testMesh, root.signer);
const snapshot = buildSnapshot([{ kind: "Service", name: "payments", methods: [] } as never]);
const caller = { id: testAuthor, source: "127.0.0.1" };

const revise = (head: Signed<Revision> | undefined, message: string, parts: Partial<Revision> = {}) =>
  signRevision({ ...buildRevision(head, message), ...parts }, testMesh, key.signer);
const activate = (head: Signed<Activation> | undefined, revision: Signed<Revision>) =>
  signActivation(buildActivation(head, revision), testMesh, key.signer);

/** What the backup has, then what the fleet has seen, then what was signed again. */
const revision1 = revise(undefined, "first");
const second = revise(revision1, "second");
const epoch1 = activate(undefined, revision1);
const epoch2 = activate(epoch1, second);
const lost3 = revise(second, "lost", { snapshot: snapshot.list.digest });
const lostEpoch3 = activate(epoch2, lost3);
const again3 = revise(second, "again");
const againEpoch3 = activate(epoch2, again3);

let clock: ManualClock;
let ledger: Ledger;
let guard: FloorGuard;
let desk: OfferDesk;
let fleet: FakeFleet;
let chooser: Chooser;
const audit: string[] = [];

beforeEach(async () => {
  clock = new ManualClock();
  audit.length = 0;
  ledger = openMemoryLedger({ mesh: testMesh, trustRoot: root.publicKey });
  await ledger.trust.append(trust);
  for (const record of [revision1, second, again3]) await ledger.revisions.append(record);
  for (const record of [epoch1, epoch2, againEpoch3]) await ledger.activations.append(record);
  guard = new FloorGuard({ ledger, clock, lostAtStart: false });
  desk = new OfferDesk({ ledger, clock, mayGoPast: () => false });
  fleet = new FakeFleet(clock);
  chooser = openChooser();
});

function openChooser(): Chooser {
  const noting = {
    record: async ({ action, target, outcome, detail }: Record<string, string>) =>
      void audit.push(`${action} ${target} ${outcome} ${detail}`),
  };
  const signer = { ...key.signer, sign: key.signer.sign };
  const signing = { mesh: testMesh, ledger, signer, clock, audit: noting as never };
  const publisher = createPublisher({
    ...signing,
    revisions: ledger.revisions,
    snapshots: new SnapshotStore(ledger.blobs),
    knownVersions: () => new Map(),
    knownIssuers: () => new Set(),
    beforeSigning: async () => guard.check("revisions"),
  });
  const beforeSigning = async () => guard.check("activations");
  const activator = createActivator({
    ...signing,
    orders: noOrders,
    fleet: fleet.loop,
    affected: undefined as never,
    beforeSigning,
  });
  const authority = { mesh: testMesh, holdsRoot: true, rootSigner: root.signer, signer: key.signer };
  return createChooser({ ...signing, authority, publisher, activator });
}

const ref = ({ digest }: Signed<unknown>, number: number): HeldRecord => ({ key: number, digest });

/** A proxy that followed the lost records offers what it holds. */
async function offer(
  revisions: Signed<Revision>[],
  activations: Signed<Activation>[],
  blobs: Uint8Array[] = [],
  trusts: Signed<Trust>[] = [trust],
) {
  const all = [...revisions, ...activations, ...trusts].map(({ bytes }) => bytes);
  const bytes = new Map<Digest, Uint8Array>([...all, ...blobs].map((one) => [digestOf(one), one]));
  const held = {
    trust: trusts.map((one) => ref(one, one.body.sequence)),
    revisions: revisions.map((one) => ref(one, one.body.number)),
    activations: activations.map((one) => ref(one, one.body.epoch)),
    rollouts: [],
    blobs: blobs.map(digestOf),
  };
  let step = await desk.take("p1", { held, pieces: [], absent: [] });
  while (step.wanted.length > 0) {
    const digest = present(step.wanted[0]);
    const data = present(bytes.get(digest));
    step = await desk.take("p1", {
      held: undefined,
      pieces: [{ digest, size: data.length, offset: 0, data }],
      absent: [],
    });
  }
}
const unitBytes = snapshot.units.map(({ bytes }) => bytes);
const offerLost = () =>
  offer([lost3, second, revision1], [lostEpoch3, epoch2, epoch1], [snapshot.list.bytes, ...unitBytes]);

describe("two records of one number", () => {
  test("a word of another one holds what is signed for 20 s, once a proxy, and is told then", async () => {
    guard.hear(buildHeartbeat("p1", { seenEpoch: 3, seenActivation: lostEpoch3.digest }));
    expect(() => guard.check("activations")).toThrow(/p1 has seen another epoch 3 .*is asked for/);
    guard.check("trust");
    await clock.advance(holdMs);
    guard.check("activations");
    expect(guard.problems()).toEqual([expect.stringMatching(/p1 said to have seen another epoch 3 .*not believed/)]);
    guard.hear(buildHeartbeat("p1", { seenEpoch: 2, seenActivation: digestOf(Buffer.from("another lie")) }));
    guard.check("activations");
  });

  test("shown, stop their log and no other; both are told with author, words, time and who has them (I1, I2)", async () => {
    await offerLost();
    expect(() => guard.check("revisions")).toThrow(
      /two records of revision 3 .*"again".* is in this log.*"lost".* is not.*ashlar recover/,
    );
    expect(() => guard.check("activations")).toThrow(expect.objectContaining({ code: "stale" }));
    guard.check("trust");
    const heartbeats = [
      buildHeartbeat("p1", { seenActivation: lostEpoch3.digest, evaluatingDigest: lost3.digest }),
      buildHeartbeat("p2", { seenActivation: againEpoch3.digest }),
    ];
    const problems = conflictProblems(findConflicts(ledger), heartbeats);
    expect(problems.map(({ code, subject }) => [code, subject])).toEqual([
      ["record-conflict", "epoch 3"],
      ["record-conflict", "revision 3"],
    ]);
    expect(problems[0]?.message).toContain(`${lostEpoch3.digest.slice(0, 12)} is seen at p1`);
    expect(problems[0]?.message).toContain(`${againEpoch3.digest.slice(0, 12)} is seen at p2`);
    expect(ledger.activations.head()?.digest).toBe(againEpoch3.digest); // nothing is rewritten
  });

  test("a longer branch of the fleet's becomes the log, and what it replaced is told, not dropped", async () => {
    const lostEpoch4 = activate(lostEpoch3, lost3);
    await offer([lost3], [lostEpoch4, lostEpoch3]);
    expect(ledger.activations.head()?.digest).toBe(lostEpoch4.digest);
    const conflict = findConflicts(ledger).find(({ log }) => log === "activations");
    expect([conflict?.key, conflict?.rival.digest]).toEqual([3, againEpoch3.digest]);
    expect(() => guard.check("activations")).toThrow(/epoch 3/);
  });

  test("of a key that is trusted no more count for nothing", async () => {
    const thief = createTestKey();
    await offer([signRevision(buildRevision(second, "forged"), testMesh, thief.signer)], []);
    guard.check("revisions");
    expect(findConflicts(ledger)).toEqual([]);
  });
});

describe("an operator's choice", () => {
  test("of what was lost publishes its policy above both, puts it in force when it is prepared, and lets signing go on", async () => {
    await offerLost();
    fleet.loop.onChange(() => {});
    const choosing = chooser.choose(lostEpoch3.digest, "the fleet runs it", caller);
    await settleUntil(() => ledger.revisions.head()?.body.number === 4);
    fleet.prepare("p1", [present(ledger.revisions.head())]);
    expect(await choosing).toEqual({ log: "activations", key: 3, head: 4, revision: 4 });
    expect(ledger.revisions.find(4)?.body).toMatchObject({ parent: again3.digest, snapshot: snapshot.list.digest });
    expect(ledger.activations.head()?.body).toMatchObject({
      epoch: 4,
      previous: againEpoch3.digest,
      revisionNumber: 4,
    });
    expect(ledger.activations.head()?.body.reason).toContain(lostEpoch3.digest);
    guard.check("activations");
    guard.check("revisions");
    expect(findConflicts(ledger)).toEqual([]);
    await offerLost(); // a proxy that was away shows it once more
    guard.check("activations");
    expect(audit.at(-1)).toMatch(/^recover .* ok chosen for epoch 3; now epoch 4, revision 4: the fleet runs it/);
  });

  test("of what the log has puts that in force again above both", async () => {
    await offerLost();
    expect(await chooser.choose(againEpoch3.digest, "it is newer", caller)).toMatchObject({ head: 4, revision: 3 });
    expect(ledger.activations.head()?.body).toMatchObject({ epoch: 4, revisionDigest: again3.digest, forced: true });
    guard.check("revisions");
  });

  test("of a branch settles all of its numbers, whichever of them is named", async () => {
    const lostEpoch4 = activate(lostEpoch3, lost3);
    await ledger.activations.append(activate(againEpoch3, again3));
    await offer([lost3, second, revision1], [lostEpoch4, lostEpoch3, epoch2], [snapshot.list.bytes, ...unitBytes]);
    expect(findConflicts(ledger).filter(({ log }) => log === "activations")).toHaveLength(2);
    expect(await chooser.choose(againEpoch3.digest, "ours", caller)).toMatchObject({ head: 5, revision: 3 });
    expect(findConflicts(ledger)).toEqual([]);
    guard.check("activations");
  });

  test("of the revision first, then of the epoch that activates it, publishes once", async () => {
    await offerLost();
    expect(await chooser.choose(lost3.digest, "policy", caller)).toMatchObject({ log: "revisions", revision: 4 });
    fleet.prepare("p1", [present(ledger.revisions.head())]);
    expect(await chooser.choose(lostEpoch3.digest, "epoch", caller)).toMatchObject({ head: 4, revision: 4 });
  });

  test("without its policy, without a reason, of what is in no conflict: is refused, and the log stays stopped", async () => {
    await offer([lost3], [lostEpoch3]); // no units
    await expect(chooser.choose(lostEpoch3.digest, "?", caller)).rejects.toMatchObject({ code: "stale" });
    await expect(chooser.choose(lostEpoch3.digest, "", caller)).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(chooser.choose(epoch2.digest, "?", caller)).rejects.toMatchObject({ code: "not_found" });
    expect(() => guard.check("activations")).toThrow(/two records of epoch 3/);
  });

  test("of a trust record keeps the revocations of both", async () => {
    const revoked = (serial: string) => ({ serial, reason: "stolen", timeMs: 1 });
    const next = (serial: string) =>
      signTrust({ ...buildTrust([key], trust), revocations: [revoked(serial)] }, testMesh, root.signer);
    const [own, lost] = [next("aaaaaaaaaaaaaaaa"), next("bbbbbbbbbbbbbbbb")];
    await ledger.trust.append(own);
    await offer([], [], [], [lost, trust]);
    expect(() => guard.check("trust")).toThrow(/two records of trust record 2/);
    expect(await chooser.choose(own.digest, "both", caller)).toMatchObject({ log: "trust", head: 3 });
    expect(ledger.trust.head()?.body.revocations.map(({ serial }) => serial)).toEqual([
      "aaaaaaaaaaaaaaaa",
      "bbbbbbbbbbbbbbbb",
    ]);
    guard.check("trust");
  });

  test("of a trust record that was lost is refused once the log has gone on: it would bring dropped keys back", async () => {
    const next = (head: Signed<Trust>, timeMs: number) =>
      signTrust({ ...buildTrust([key], head), timeMs }, testMesh, root.signer);
    const own = next(trust, 1);
    const lost = next(trust, 2);
    for (const record of [own, next(own, 3)]) await ledger.trust.append(record);
    await offer([], [], [], [lost]);
    await expect(chooser.choose(lost.digest, "?", caller)).rejects.toMatchObject({ code: "stale" });
    expect(await chooser.choose(own.digest, "ours", caller)).toMatchObject({ head: 4 });
  });
});

test("a conflict outlives a restart, and so does what was decided", async () => {
  const dir = await mkdtemp(join(tmpdir(), "rivals-"));
  try {
    const file = join(dir, "activations.rivals");
    const open = async () => {
      const index = new LogIndex(activationLaw, testMesh);
      const rivals = new LogRivals(index, activationLaw.keyOf, await openRivalFile(file));
      index.useKeys({ current: keySetOf(trust.body), former: new Map() });
      for (const record of [epoch1, epoch2, againEpoch3]) index.offer(record.bytes);
      for (const bytes of rivals.records) index.offer(bytes);
      return { index, rivals };
    };
    const first = await open();
    first.index.offer(lostEpoch3.bytes);
    await first.rivals.note();
    const next = await open();
    expect(next.rivals.blocking()?.rival.digest).toBe(lostEpoch3.digest);
    await expect(next.rivals.settle(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(next.rivals.blocking()).toBeDefined();
    await next.rivals.settle(async () => expect(next.rivals.blocking()).toBeUndefined());
    expect((await open()).rivals.conflicts()).toEqual([]);
    expect(await readFile(file, "utf8")).toMatch(/^settled /);
  } finally {
    await rm(dir, { recursive: true });
  }
});

async function settleUntil(done: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200 && !done(); turn += 1) await new Promise(setImmediate);
  expect(done()).toBe(true);
}
