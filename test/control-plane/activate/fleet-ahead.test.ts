import { beforeEach, expect, test } from "@jest/globals";
import { createActivator } from "../../../control-plane/activate/activator.js";
import { findFleetAhead } from "../../../control-plane/activate/fleet-ahead.js";
import { signRevision } from "../../../core/wire/records.js";
import { FakeFleet } from "../../support/fake-fleet.js";
import { ManualClock } from "../../support/manual-clock.js";
import { PlainLedger } from "../../support/plain-ledger.js";
import { buildRevision, createTestKey, testAuthor, testMesh } from "../../support/records.js";

const { signer } = createTestKey();
let clock: ManualClock;
let ledger: PlainLedger;
let fleet: FakeFleet;

beforeEach(async () => {
  clock = new ManualClock();
  ledger = new PlainLedger();
  fleet = new FakeFleet(clock);
  await ledger.revisions.append(signRevision(buildRevision(undefined), testMesh, signer));
});

const activate = (force: boolean) => {
  const audit = { record: async () => {} };
  const activator = createActivator({ mesh: testMesh, ledger, fleet: fleet.loop, signer, audit, clock });
  const options = { revision: 1, reason: "", force, thresholdPercent: 0, prepareTimeoutMs: 0 };
  return activator.activate(options, { id: testAuthor, source: "" });
};
const prepared = () => ledger.revisions.list();

test("no epoch is signed while live proxies have seen a later one than the log has, unless forced (I2)", async () => {
  fleet.prepare("payments-1", prepared(), { seenEpoch: 7 });
  const refused = activate(false).catch((error: unknown) => error);
  for (let second = 0; second < 4; second += 1) await clock.advance(1000);
  expect(await refused).toMatchObject({
    code: "stale",
    message: expect.stringMatching(/has seen epoch 7 \(payments-1\) .* log ends at epoch 0: it lost records.*--force/),
  });
  expect(ledger.activations.head()).toBeUndefined();
  const forced = await activate(true);
  expect(forced.activation.body).toMatchObject({ epoch: 1, forced: true });
});

test("a log that is only late is waited for; a proxy that fell silent counts no more", async () => {
  fleet.prepare("payments-1", prepared(), { seenEpoch: 7 });
  const waiting = activate(false);
  await clock.advance(1000);
  fleet.prepare("payments-1", prepared(), { seenEpoch: 0 }); // as if the log had caught up
  await clock.advance(1000);
  expect((await waiting).activation.body.epoch).toBe(1);
  fleet.say("payments-2", { seenEpoch: 9 });
  expect(findFleetAhead(fleet.loop.live(), 1)).toEqual({ epoch: 9, proxyIds: ["payments-2"] });
  await clock.advance(20_000);
  expect(findFleetAhead(fleet.loop.live(), 1)).toBeUndefined();
});
