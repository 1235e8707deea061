import { expect, test } from "@jest/globals";
import { createActivator } from "../../../control-plane/activate/activator.js";
import { gatesDefault } from "../../../core/rollout/gates.js";
import { parseStages } from "../../../core/rollout/stages.js";
import { signRevision, signTrust } from "../../../core/wire/records.js";
import { affects, everyCall } from "../../support/affected.js";
import { FakeFleet } from "../../support/fake-fleet.js";
import { ManualClock } from "../../support/manual-clock.js";
import { openMemoryLedger } from "../../support/memory-ledger.js";
import { noOrders } from "../../support/no-orders.js";
import { buildRevision, buildTrust, createTestKey, present, testAuthor, testMesh } from "../../support/records.js";

test("the number of a rollout whose plan nobody gave back is not used again (I2)", async () => {
  const [root, key, clock] = [createTestKey(), createTestKey(), new ManualClock()];
  const open = () => openMemoryLedger({ mesh: testMesh, trustRoot: root.publicKey });
  const [before, after] = [open(), open()];
  const trust = signTrust(buildTrust([key]), testMesh, root.signer);
  await before.trust.append(trust);
  const revisions = [];
  for (let number = 1; number <= 3; number += 1) {
    const next = signRevision(buildRevision(before.revisions.head(), `r${number}`), testMesh, key.signer);
    await before.revisions.append(next);
    revisions.push(next);
  }
  const fleet = new FakeFleet(clock);
  fleet.prepare("p1", revisions);
  const audit = { record: async () => {} };
  const affected = affects(everyCall);
  const caller = { id: testAuthor, source: "" };
  const activate = (ledger: typeof before, revision: number, stages?: string) => {
    const deps = { mesh: testMesh, ledger, fleet: fleet.loop, signer: key.signer, audit, clock, affected };
    const staged = stages === undefined ? undefined : { stages: parseStages(stages), holdMs: 1, gates: gatesDefault };
    const options = { revision, reason: "", force: false, thresholdPercent: 0, prepareTimeoutMs: 0, staged };
    return createActivator({ ...deps, orders: noOrders }).activate({ ...options, endRollout: true }, caller);
  };
  await activate(before, 1);
  await activate(before, 2, "1,100%");

  await after.trust.recover([trust.bytes], true);
  await after.activations.recover(
    before.activations.list().map(({ bytes }) => bytes),
    true,
  );
  await after.revisions.recover(
    revisions.map(({ bytes }) => bytes),
    true,
  );
  const { activation } = await activate(after, 3, "1,100%");
  expect(activation.body.rollout).toMatchObject({ number: 2 });
  expect(after.rollouts.missing()).toEqual([{ from: 1, to: 1 }]);
  expect(present(after.rollouts.head()).body.previous).toBe(before.rollouts.head()?.digest);
  fleet.loop.close();
});
