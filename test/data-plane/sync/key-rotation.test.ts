/** The key that signs records is replaced: a proxy follows, whether it was there or not, and refuses the old key afterwards. */
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { Activation, Signed } from "../../../core/model.js";
import { signActivation, signRevision } from "../../../core/wire/records.js";
import { type IssuedHeads, openSync, type Sync } from "../../../data-plane/sync/open-sync.js";
import { systemClock } from "../../../runtime/clock.js";
import type { MemoryBroker } from "../../../runtime/memory-bus.js";
import { MeshSigner, TestPublisher, type TestRevision, unitFor } from "../../support/mesh-signer.js";
import { createTestKey, type TestKey, testMesh } from "../../support/records.js";
import { untilTrue } from "../../support/until.js";
import { MemoryFolder } from "./memory-folder.js";
import { createMemoryNats } from "./memory-nats.js";
import { RecordingLogger } from "./recording-logger.js";

const empty = new Uint8Array();
let mesh: MeshSigner;
let broker: MemoryBroker;
let publisher: TestPublisher;
let log: RecordingLogger;
let folder: MemoryFolder;
let sync: Sync;
let first: TestRevision;
let second: TestRevision;
let oldKey: TestKey;

async function open(issued?: IssuedHeads): Promise<Sync> {
  const opened = await openSync(
    { bus: broker.connect(), folder, clock: systemClock, log },
    {
      mesh: testMesh,
      proxyId: "payments-1",
      service: "payments",
      upstreams: [],
      rootPublicKey: mesh.root.publicKey,
      issued,
      freshnessIntervalMs: 200,
    },
  );
  opened.start();
  return opened;
}
const evaluates = (epoch: number): Promise<void> => untilTrue(() => sync.policy.current?.epoch === epoch);
const trusts = (sequence: number): Promise<void> => untilTrue(() => sync.trust.sequence === sequence);

/** Names a successor, activates what is active under it, and drops the old key; gives the successor. */
async function rotate(revision: TestRevision): Promise<TestKey> {
  const successor = createTestKey();
  await publisher.trust(mesh.nextTrust([mesh.key, successor]));
  mesh.key = successor;
  await publisher.activate(mesh.activation(revision));
  await publisher.trust(mesh.nextTrust([successor]));
  return successor;
}

beforeEach(async () => {
  mesh = new MeshSigner();
  oldKey = mesh.key;
  broker = createMemoryNats();
  publisher = new TestPublisher(broker.connect());
  log = new RecordingLogger();
  folder = new MemoryFolder();
  await publisher.trust(mesh.trust);
  sync = await open({ trust: mesh.trust.bytes, activation: empty, revision: empty, freshness: empty });
  first = mesh.revision([unitFor("payments", ["guest"])]);
  second = mesh.revision([unitFor("payments", [])]);
  for (const revision of [first, second]) await publisher.publish(revision);
  await publisher.activate(mesh.activation(first));
  await evaluates(1);
});
afterEach(() => sync.stop());

describe("while a proxy follows", () => {
  test("it goes on under the successor, refuses what the dropped key signs later, and says why", async () => {
    await rotate(first);
    await evaluates(2);
    await trusts(3);
    const { body } = mesh.activation(second, { reason: "stolen key" });
    await publisher.activate(signActivation(body, testMesh, oldKey.signer));
    await untilTrue(() => log.lines.some((line) => /not trusted/.test(line)));
    expect(sync.policy.current?.epoch).toBe(2);
    await publisher.activate(mesh.activation(second)); // an old revision, by the dropped key: the activation names it
    await evaluates(3);
  });

  test("a link that the dropped key signed before, and hid what leads to it, brings nothing and stops nobody", async () => {
    const successor = createTestKey();
    await publisher.trust(mesh.nextTrust([mesh.key, successor]));
    mesh.key = successor;
    await publisher.activate(mesh.activation(first));
    await evaluates(2);
    const forged = (previous: Signed<Activation>): Signed<Activation> => {
      const { body } = mesh.activation(second, { reason: "forged", previous });
      return signActivation(body, testMesh, oldKey.signer);
    };
    const [head] = mesh.activations.slice(-1);
    if (head === undefined) throw new Error("nothing is active");
    const hidden = forged(head);
    await publisher.activate(forged(hidden)); // epoch 4: it waits for epoch 3, and names it
    const parent = signRevision({ ...second.record.body, number: 3, parent: hidden.digest }, testMesh, oldKey.signer);
    await publisher.append("revisions", 3, parent.bytes);
    await publisher.trust(mesh.nextTrust([successor]));
    await trusts(3);
    await publisher.activate(hidden);
    await untilTrue(() => log.lines.some((line) => /not trusted/.test(line)));
    expect(sync.policy.seenEpoch).toBe(2);
    await publisher.activate(mesh.activation(second));
    await evaluates(3);
    await publisher.activate(mesh.activation(first));
    await evaluates(4); // and no rival of that epoch waits
    expect(sync.problems().filter((line) => /equivocation/.test(line))).toEqual([]);
  });

  test("statements about the heads that the dropped key dated into the future keep none of the successor's out", async () => {
    const heard: number[] = [];
    sync.onFreshness(({ body }) => heard.push(body.issuedMs));
    const [inAYear, soon] = [Date.now() + 365 * 86_400_000, Date.now() + 40_000];
    for (const issuedMs of [inAYear, soon])
      publisher.freshness(mesh.freshness({ issuedMs, expiresMs: issuedMs + 15_000 }));
    await untilTrue(() => heard.includes(soon));
    expect(heard).not.toContain(inAYear);
    await rotate(first);
    await trusts(3);
    const statement = mesh.freshness();
    publisher.freshness(statement);
    await untilTrue(() => heard.includes(statement.body.issuedMs));
  });

  test("a record of a key that it does not know yet makes it read the trust log first", async () => {
    broker.setUp(false);
    const successor = createTestKey();
    const trust = mesh.nextTrust([mesh.key, successor]);
    mesh.key = successor;
    broker.setUp(true);
    await publisher.activate(mesh.activation(second));
    await untilTrue(() => log.lines.some((line) => /not trusted/.test(line)));
    await publisher.trust(trust);
    await evaluates(2);
  });
});

describe("while a proxy is away", () => {
  test.each([3, 150])("it walks back over %i links of the dropped key, each named by the next one", async (missed) => {
    await sync.stop();
    for (let count = 0; count < missed; count += 1)
      await publisher.activate(mesh.activation(count % 2 === 0 ? second : first));
    await rotate(second);
    sync = await open();
    await evaluates(missed + 2);
    expect(sync.policy.seenEpoch).toBe(missed + 2);
  });

  test("it is not led astray by a link that the dropped key forged beside them", async () => {
    await sync.stop();
    const forged = mesh.activation(second, { reason: "forged" });
    await publisher.activate(forged);
    await publisher.activate(mesh.activation(first));
    await publisher.activate(mesh.activation(first, { reason: "forged", previous: forged }));
    await rotate(first);
    sync = await open();
    await evaluates(3);
    expect(sync.problems().filter((line) => /equivocation/.test(line))).toEqual([]);
  });

  test("one that joins afterwards takes an old revision, because the activation names it", async () => {
    await rotate(first);
    await sync.stop();
    folder = new MemoryFolder();
    sync = await open({
      trust: mesh.trust.bytes,
      freshness: mesh.freshness().bytes,
      revision: first.record.bytes,
      activation: mesh.activations.at(-1)?.bytes ?? empty,
    });
    await evaluates(2);
    expect(log.lines.filter((line) => /ignored/.test(line))).toEqual([]);
  });
});

describe("restarted", () => {
  test("the statement that it stored with its certificate has expired, and that is no problem", async () => {
    await sync.stop();
    const issuedMs = Date.now() - 60_000;
    const freshness = mesh.freshness({ issuedMs, expiresMs: issuedMs + 15_000 }).bytes;
    sync = await open({ trust: mesh.trust.bytes, activation: empty, revision: empty, freshness });
    await evaluates(1);
    expect(log.lines).toEqual([]);
    expect(sync.clocksDisagree).toBe(false);
  });

  test("between the trust record without the key and what its successor signed, it keeps floor and policy (I2)", async () => {
    const successor = createTestKey();
    await publisher.trust(mesh.nextTrust([successor]));
    await trusts(2);
    await sync.stop();
    broker.setUp(false);
    sync = await open();
    expect(sync.policy.current?.epoch).toBe(1);
    expect(sync.policy.seenEpoch).toBe(1);
    broker.setUp(true);
    mesh.key = successor;
    await publisher.activate(mesh.activation(second));
    await evaluates(2);
  });

  test("without NATS after a rotation, it evaluates an old revision that only its disk has", async () => {
    await rotate(first);
    await evaluates(2);
    await trusts(3);
    await sync.stop();
    broker.setUp(false);
    sync = await open();
    expect(sync.policy.current?.epoch).toBe(2);
    expect(sync.policy.current?.revision).toBe(1);
  });
});
