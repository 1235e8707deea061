/** A proxy that follows a log with a rollout in it, over the bus and from its disk. */
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import type { Activation, Signed } from "../../../core/model.js";
import { gatesDefault } from "../../../core/rollout/gates.js";
import type { Cohort, Rollout } from "../../../core/rollout/rollout-model.js";
import { parseStages } from "../../../core/rollout/stages.js";
import { signActivation } from "../../../core/wire/records.js";
import { signRollout } from "../../../core/wire/rollouts.js";
import { rolloutSubject } from "../../../core/wire/subjects.js";
import { openSync, type Sync } from "../../../data-plane/sync/open-sync.js";
import type { Bus } from "../../../runtime/bus.js";
import { systemClock } from "../../../runtime/clock.js";
import type { MemoryBroker } from "../../../runtime/memory-bus.js";
import { MeshSigner, TestPublisher, type TestRevision, unitFor } from "../../support/mesh-signer.js";
import { testAuthor, testMesh } from "../../support/records.js";
import { untilTrue } from "../../support/until.js";
import { MemoryFolder } from "./memory-folder.js";
import { createMemoryNats, createOfflineBus } from "./memory-nats.js";
import { RecordingLogger } from "./recording-logger.js";

const empty = new Uint8Array();
let mesh: MeshSigner;
let broker: MemoryBroker;
let publisher: TestPublisher;
let base: TestRevision;
let candidate: TestRevision;
let plan: Signed<Rollout>;
const open: Sync[] = [];

async function follow(proxyId: string, folder = new MemoryFolder(), bus: Bus = broker.connect()): Promise<Sync> {
  const sync = await openSync(
    { bus, folder, clock: systemClock, log: new RecordingLogger() },
    {
      mesh: testMesh,
      proxyId,
      service: "payments",
      upstreams: [],
      rootPublicKey: mesh.root.publicKey,
      issued: { trust: mesh.trust.bytes, activation: empty, revision: empty, freshness: empty },
    },
  );
  open.push(sync);
  sync.start();
  return sync;
}

/** The next epoch as a stage of the plan. */
function stage(cohort: Cohort): Signed<Activation> {
  const { body } = mesh.activation(candidate, { reason: "stage" });
  const rollout = { number: 1, digest: plan.digest, stage: 1, base: plan.body.base, cohort, paused: false };
  const record = signActivation({ ...body, rollout }, testMesh, mesh.key.signer);
  mesh.activations.push(record);
  return record;
}

const evaluated = (sync: Sync) => [sync.policy.current?.epoch, sync.policy.current?.revision];

beforeEach(async () => {
  mesh = new MeshSigner();
  broker = createMemoryNats();
  publisher = new TestPublisher(broker.connect());
  await publisher.trust(mesh.trust);
  base = mesh.revision([unitFor("payments", ["guest"])]);
  candidate = mesh.revision([unitFor("payments", [])]);
  for (const revision of [base, candidate]) await publisher.publish(revision);
  await publisher.activate(mesh.activation(base));
  const refOf = ({ record }: TestRevision) => ({ number: record.body.number, digest: record.digest });
  const body = { number: 1, previous: undefined, candidate: refOf(candidate), base: refOf(base), holdMs: 1000 };
  const rest = { stages: parseStages("1,100%"), gates: gatesDefault, author: testAuthor, reason: "", timeMs: 1 };
  plan = signRollout({ ...body, ...rest }, testMesh, mesh.key.signer);
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((sync) => sync.stop()));
});

test("member and outsider evaluate the same epoch with their own revision, and the next stage moves both", async () => {
  const [member, outsider] = await Promise.all([follow("p1"), follow("p2")]);
  await broker.connect().append(rolloutSubject(1), plan.bytes);
  await publisher.activate(stage({ basisPoints: 0, proxyIds: ["p1"] }));
  await untilTrue(() => member.policy.current?.epoch === 2 && outsider.policy.current?.epoch === 2);
  expect([evaluated(member), evaluated(outsider)]).toEqual([
    [2, 2],
    [2, 1],
  ]);
  expect([member.refusedRecords, outsider.refusedRecords]).toEqual([0, 0]); // a plan that holds is no offence
  await publisher.activate(stage({ basisPoints: 10_000, proxyIds: [] }));
  await untilTrue(() => outsider.policy.current?.revision === 2);
  expect(evaluated(outsider)).toEqual([3, 2]);
});

test("a proxy that joins in the middle finds the head behind a plan, and has no policy before it evaluates what is for it", async () => {
  await publisher.activate(stage({ basisPoints: 0, proxyIds: ["p1"] }));
  await broker.connect().append(rolloutSubject(1), plan.bytes); // the last record of the stream is no activation
  const late = await follow("p9");
  expect(late.policy.current).toBeUndefined();
  await untilTrue(() => late.policy.current !== undefined);
  expect(evaluated(late)).toEqual([2, 1]);
});

test("a plan that does not hold is refused, and moves nobody", async () => {
  const sync = await follow("p1");
  await untilTrue(() => sync.policy.current?.epoch === 1);
  const bytes = plan.bytes.slice();
  const last = bytes.length - 2;
  bytes[last] = bytes[last] === 65 ? 66 : 65;
  await broker.connect().append(rolloutSubject(1), bytes);
  await untilTrue(() => sync.refusedRecords > 0);
  expect(evaluated(sync)).toEqual([1, 1]);
});

test.each([
  ["a member", "p1", 2],
  ["an outsider", "p2", 1],
])("with everything gone, %s restarts on what it evaluated", async (_who, proxyId, revision) => {
  const folder = new MemoryFolder();
  const before = await follow(proxyId, folder);
  await publisher.activate(stage({ basisPoints: 0, proxyIds: ["p1"] }));
  await untilTrue(() => before.policy.current?.epoch === 2 && before.policy.prepared.length === 2);
  await before.stop();
  const after = await follow(proxyId, folder, createOfflineBus());
  expect(evaluated(after)).toEqual([2, revision]);
  expect(after.policy.prepared.map(({ number }) => number)).toEqual([2, 1]); // and can go either way without a fetch
});

test("a candidate that an epoch names beside its revision is held while it does, however old, and is not evaluated", async () => {
  const { digest, body } = candidate.record;
  for (let made = 0; made < 2; made++) await publisher.publish(mesh.revision([unitFor("payments", [`g${made}`])]));
  const sync = await follow("p1");
  await untilTrue(() => sync.policy.current?.epoch === 1 && sync.policy.prepared.length > 1);
  expect([sync.policy.shadow, sync.policy.prepared.some((one) => one.digest === digest)]).toEqual([undefined, false]);
  const next = mesh.activation(base, { reason: "shadow" });
  const shadow = { number: body.number, digest, shareBasisPoints: 1000 };
  const record = signActivation({ ...next.body, shadow }, testMesh, mesh.key.signer);
  mesh.activations.push(record);
  await publisher.activate(record);
  await untilTrue(() => sync.policy.shadow !== undefined);
  expect(sync.policy.shadow).toMatchObject({ share: 0.1, policy: { epoch: 2, revision: body.number } });
  expect(sync.policy.shadow).toBe(sync.policy.shadow);
  expect(evaluated(sync)).toEqual([2, base.record.body.number]);
});
