import { beforeEach, describe, expect, test } from "@jest/globals";
import { FloorGuard } from "../../../control-plane/recover/floor-guard.js";
import { holdMs } from "../../../control-plane/recover/seen-claims.js";
import type { Ledger } from "../../../control-plane/store/ledger.js";
import { digestOf } from "../../../core/digest.js";
import type { Activation, Revision, Signed } from "../../../core/model.js";
import { signActivation, signFreshness, signRevision, signTrust } from "../../../core/wire/records.js";
import { buildHeartbeat } from "../../support/fake-fleet.js";
import { ManualClock } from "../../support/manual-clock.js";
import { openMemoryLedger } from "../../support/memory-ledger.js";
import {
  buildActivation,
  buildFreshness,
  buildRevision,
  buildTrust,
  createTestKey,
  present,
  testMesh,
} from "../../support/records.js";

const root = createTestKey();
const key = createTestKey();
const revision: Signed<Revision> = signRevision(buildRevision(undefined), testMesh, key.signer);
const chain: Signed<Activation>[] = [];
for (let epoch = 1; epoch <= 9; epoch += 1)
  chain.push(signActivation(buildActivation(chain.at(-1), revision), testMesh, key.signer));
const at = (epoch: number): Signed<Activation> => present(chain[epoch - 1]);

let clock: ManualClock;
let ledger: Ledger;
let guard: FloorGuard;

beforeEach(async () => {
  clock = new ManualClock();
  ledger = openMemoryLedger({ mesh: testMesh, trustRoot: root.publicKey });
  await ledger.trust.append(signTrust(buildTrust([key]), testMesh, root.signer));
  await ledger.activations.append(at(1));
  guard = new FloorGuard({ ledger, clock, lostAtStart: false });
});

const check = () => guard.check("activations");
const says = (proxyId: string, seenEpoch: number, seenActivation = digestOf(Buffer.from("a lie"))) =>
  guard.hear(buildHeartbeat(proxyId, { seenEpoch, seenActivation }));

describe("a word without proof", () => {
  test("holds what is signed, says who said it and what to do, and ends (I8)", async () => {
    says("payments-1", 1_000_000_000);
    expect(check).toThrow(/has seen epoch 1000000000 \(payments-1\).* ends at 1: .* repeat this in 20 s/);
    await clock.advance(holdMs - 1);
    expect(check).toThrow(expect.objectContaining({ code: "stale" }));
    await clock.advance(1);
    check();
    expect(guard.problems()).toEqual([
      expect.stringMatching(/payments-1 said to have seen epoch 1000000000 .*not believed/),
    ]);
  });

  test("of one proxy holds once, whatever it says next: it cannot stop the mesh", async () => {
    says("payments-1", 1_000_000);
    await clock.advance(holdMs);
    for (let lie = 1; lie < 50; lie += 1) {
      says("payments-1", 1_000_000 + lie);
      check();
      says("payments-1", 1, at(1).digest); // the truth in between clears nothing
      await clock.advance(60_000);
    }
    says("payments-2", 7, at(7).digest); // somebody else is heard
    expect(check).toThrow(/payments-2/);
  });

  test("that the log bears out clears the proxy: an honest one is heard again", async () => {
    says("payments-1", 2, at(2).digest);
    await clock.advance(holdMs);
    check();
    await ledger.activations.append(at(2));
    says("payments-1", 3, at(3).digest);
    expect(check).toThrow(/epoch 3 \(payments-1\)/);
  });

  test("of another log counts once that had time to catch up by itself", async () => {
    says("payments-1", 2, at(2).digest);
    guard.check("revisions");
    await clock.advance(3000);
    expect(() => guard.check("revisions")).toThrow(/epoch 2/);
  });

  test("at a renewal counts alike, and a log that is only late is waited for", async () => {
    guard.hearSeen("payments-1", { epoch: 2, activation: at(2).digest, trustSequence: 1 });
    const settled = guard.settledFor("activations")();
    await clock.advance(1000);
    await ledger.activations.append(at(2));
    await clock.advance(100);
    await settled;
  });
});

test("signed bytes that a proxy has seen hold for good where the way to them is lost; a number alone does not", async () => {
  await ledger.activations.recover([at(5).bytes], false);
  check(); // nobody says to have followed it: it may be a jump that a stolen key signed
  says("payments-1", 5, at(5).digest);
  await clock.advance(10 * holdMs);
  expect(check).toThrow(/epoch 5 was signed and the log ends at 1: .*backup/);
  await ledger.activations.recover([at(3).bytes, at(4).bytes, at(2).bytes], false);
  check();
  expect(ledger.activations.head()?.body.epoch).toBe(5);
});

test("after a loss nothing is signed until trust is back and proxies had time to speak", async () => {
  const lost = openMemoryLedger({ mesh: testMesh, trustRoot: root.publicKey });
  const held = new FloorGuard({ ledger: lost, clock, lostAtStart: true });
  await clock.advance(10 * holdMs);
  expect(() => held.check("revisions")).toThrow(/logs of this mesh are lost/);
  await lost.trust.append(signTrust(buildTrust([key]), testMesh, root.signer));
  held.check("revisions");
  const early = new FloorGuard({ ledger: lost, clock, lostAtStart: true });
  expect(() => early.check("revisions")).toThrow(/in the first 20 s/);
});

test("what is about to be signed is refused by its type; statements that go into no log pass", () => {
  says("payments-1", 9, at(9).digest);
  expect(() => guard.checkRecord(at(2).bytes)).toThrow(/epoch 9/);
  guard.checkRecord(signFreshness(buildFreshness(1), testMesh, key.signer).bytes);
  guard.checkRecord(Buffer.from("not a record"));
});
