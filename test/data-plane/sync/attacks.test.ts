/** Attacks on signed policy, by whoever can write to NATS: a proxy stays on what it had, and says why. */
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { digestOf } from "../../../core/digest.js";
import { type RecordType, signRecord } from "../../../core/signature.js";
import { unitBytesMax } from "../../../core/snapshot/grammar.js";
import { signActivation, signRevision, signTrust } from "../../../core/wire/records.js";
import { encodeSnapshotList } from "../../../core/wire/units.js";
import { type IssuedHeads, openSync, type Sync } from "../../../data-plane/sync/open-sync.js";
import { systemClock } from "../../../runtime/clock.js";
import type { MemoryBroker } from "../../../runtime/memory-bus.js";
import { MeshSigner, TestPublisher, type TestRevision, unitFor } from "../../support/mesh-signer.js";
import { createTestKey, testMesh } from "../../support/records.js";
import { untilTrue } from "../../support/until.js";
import { MemoryFolder } from "./memory-folder.js";
import { createMemoryNats } from "./memory-nats.js";
import { RecordingLogger } from "./recording-logger.js";

const empty = new Uint8Array();
const intervalMs = 200;
let mesh: MeshSigner;
let broker: MemoryBroker;
let publisher: TestPublisher;
let log: RecordingLogger;
let folder: MemoryFolder;
let sync: Sync;
let first: TestRevision;
let second: TestRevision;

const heads = (): IssuedHeads => ({
  trust: mesh.trust.bytes,
  activation: mesh.activations.at(-1)?.bytes ?? empty,
  revision: empty,
  freshness: mesh.freshness().bytes,
});
const atJoin = (): IssuedHeads => ({ trust: mesh.trust.bytes, activation: empty, revision: empty, freshness: empty });
async function open(issued = atJoin()): Promise<Sync> {
  const opened = await openSync(
    { bus: broker.connect(), folder, clock: systemClock, log },
    {
      mesh: testMesh,
      proxyId: "payments-1",
      service: "payments",
      upstreams: [],
      rootPublicKey: mesh.root.publicKey,
      issued,
      freshnessIntervalMs: intervalMs,
    },
  );
  opened.start();
  return opened;
}
const evaluates = (epoch: number): Promise<void> => untilTrue(() => sync.policy.current?.epoch === epoch);

/** `attack`, then a good activation: by the time that one is in force the attack was looked at, and refused. */
async function refuses(attack: () => Promise<unknown>, why: RegExp): Promise<void> {
  const before = { refused: sync.refusedRecords, epoch: sync.policy.current?.epoch ?? 0, lines: log.lines.length };
  await attack();
  await untilTrue(() => log.lines.slice(before.lines).some((line) => why.test(line)));
  expect(sync.policy.current?.epoch).toBe(before.epoch);
  await publisher.activate(mesh.activation(before.epoch % 2 === 0 ? first : second));
  await evaluates(before.epoch + 1);
}

beforeEach(async () => {
  mesh = new MeshSigner();
  broker = createMemoryNats();
  publisher = new TestPublisher(broker.connect());
  log = new RecordingLogger();
  folder = new MemoryFolder();
  await publisher.trust(mesh.trust);
  sync = await open();
  first = mesh.revision([unitFor("payments", ["guest"]), unitFor("inventory", [])]);
  second = mesh.revision([unitFor("payments", []), unitFor("inventory", [])]);
  for (const revision of [first, second]) await publisher.publish(revision);
  await publisher.activate(mesh.activation(first));
  await evaluates(1);
});
afterEach(() => sync.stop());

describe("arbitrary content (I3)", () => {
  const next = () => mesh.activation(second, { reason: "attack" });
  const parts = (): readonly string[] => Buffer.from(next().bytes).toString("latin1").split(".");
  const send = (text: string) => publisher.append("activations", 2, Buffer.from(text, "latin1"));
  const header = (fields: object): string =>
    Buffer.from(JSON.stringify({ alg: "EdDSA", typ: "ashlar-activation", mesh: testMesh, ...fields })).toString(
      "base64url",
    );

  const attacks: Readonly<Record<string, readonly [() => Promise<unknown>, RegExp]>> = {
    "without a signature": [() => send(parts().slice(0, 2).join(".")), /not a signed record/],
    "with an empty signature": [() => send([...parts().slice(0, 2), ""].join(".")), /signature is missing/],
    "under another algorithm": [
      () => send([header({ alg: "none", kid: mesh.key.signer.kid }), ...parts().slice(1)].join(".")),
      /algorithm is not EdDSA/,
    ],
    "with a key of its own inside": [
      () => send([header({ kid: mesh.key.signer.kid, jwk: { kty: "OKP" } }), ...parts().slice(1)].join(".")),
      /unknown header "jwk"/,
    ],
    "of another key under the good key's id": [
      () => {
        const { sign } = createTestKey().signer;
        const forged = signActivation(next().body, testMesh, { kid: mesh.key.signer.kid, sign });
        return publisher.activate(forged);
      },
      /bad_signature/,
    ],
    "of a key that nobody trusts": [
      () => publisher.activate(signActivation(next().body, testMesh, createTestKey().signer)),
      /not trusted/,
    ],
    "of another mesh": [
      () => publisher.activate(signActivation(next().body, "other.mesh", mesh.key.signer)),
      /belongs to mesh "other.mesh"/,
    ],
    "longer than is read": [() => send(`${"A".repeat(1024 * 1024)}.A.A`), /at most 1048576 are read/],
    "that another version wrote": [
      () => publisher.append("activations", 2, signed("ashlar-activation", [0x08, 2, 0x9a, 0x06, 1, 0x78])),
      /unknown field 99/,
    ],
  };
  for (const [name, [attack, why]] of Object.entries(attacks)) test(`${name} is refused`, () => refuses(attack, why));

  test("one record passed as another is refused, whatever kind it is", async () => {
    const { body } = next();
    const others = [
      signed("ashlar-revision", []),
      signed("ashlar-trust", []),
      signed("ashlar-freshness", []),
      signed("ashlar-audit-head", []),
    ];
    for (const bytes of others) await refuses(() => publisher.append("activations", 2, bytes), /it says it is/);
    const asTrust = signTrust(
      { ...mesh.trust.body, sequence: 2, previous: mesh.trust.digest },
      testMesh,
      mesh.key.signer,
    );
    await refuses(() => publisher.trust(asTrust), /not trusted/);
    expect(body.epoch).toBe(2);
  });
});

const signed = (type: RecordType, payload: readonly number[]): Uint8Array =>
  signRecord(type, testMesh, Uint8Array.from(payload), mesh.key.signer);

describe("old content (I2)", () => {
  test("an activation played again after a later one is not followed, nor after a restart", async () => {
    await publisher.activate(mesh.activation(second));
    await evaluates(2);
    const old = mesh.activations[0];
    if (old === undefined) throw new Error("no activation");
    await publisher.activate(old);
    await publisher.activate(mesh.activation(first));
    await evaluates(3);
    await sync.stop();
    sync = await open();
    expect(sync.policy.seenEpoch).toBe(3);
    await publisher.activate(old);
    await publisher.activate(mesh.activation(second));
    await evaluates(4);
  });

  test("after a disk wipe the floor is what the control plane gave at first contact", async () => {
    for (const revision of [second, first]) await publisher.activate(mesh.activation(revision));
    await evaluates(3);
    await sync.stop();
    const attacked = createMemoryNats(); // a stream that ends with epoch 2
    const wiped = new TestPublisher(attacked.connect());
    await wiped.trust(mesh.trust);
    for (const revision of [first, second]) await wiped.publish(revision);
    for (const record of mesh.activations.slice(0, 2)) await wiped.activate(record);
    [broker, folder] = [attacked, new MemoryFolder()];
    sync = await open(heads());
    await evaluates(3);
    expect(sync.policy.seenEpoch).toBe(3);
  });

  test("a jump ahead without its chain is refused (fast-forward)", async () => {
    const far = { ...mesh.activation(second, { reason: "far" }).body, epoch: Number.MAX_SAFE_INTEGER };
    await publisher.activate(signActivation(far, testMesh, mesh.key.signer));
    await publisher.activate(mesh.activation(second));
    await evaluates(2);
    expect(sync.policy.seenEpoch).toBe(2);
  });

  test("freeze: the age grows and is an alarm after three intervals; a renewal tells the head all the same", async () => {
    publisher.freshness(mesh.freshness());
    await untilTrue(() => sync.policy.freshnessAgeMs < intervalMs);
    const alarm = () => sync.problems().some((line) => line.includes("may be out of date"));
    expect(alarm()).toBe(false);
    broker.setUp(false);
    await untilTrue(() => sync.policy.freshnessAgeMs > 3 * intervalMs);
    await untilTrue(alarm);
    mesh.activation(first); // epoch 2 names what is prepared; the log is out of reach
    sync.receive(heads());
    await evaluates(2);
    expect(alarm()).toBe(false);
  });
});

describe("parts that do not belong together", () => {
  test("a unit of one revision in the place of another's is refused: a snapshot is one digest (mix-and-match)", async () => {
    const third = mesh.revision([unitFor("payments", ["mallory"]), unitFor("inventory", [])]);
    const payments = (revision: TestRevision) => revision.units.find(({ unit }) => unit.name === "payments");
    await publisher.blob(payments(first)?.bytes ?? empty, payments(third)?.digest);
    await publisher.publish(third);
    await untilTrue(() => sync.policy.rejected?.number === 3);
    expect(sync.policy.rejected?.reason).toContain("digest");
    expect(sync.policy.current?.epoch).toBe(1);
  });

  test("a unit that is too long, and one of a newer version, reject the revision as a whole (I6, I8)", async () => {
    const [newer, long] = [Uint8Array.of(0x9a, 0x06, 1, 0x78), new Uint8Array(unitBytesMax + 1)];
    for (const [index, bytes] of [newer, long].entries()) {
      const made = mesh.revision([unitFor("payments", [`c${index}`]), unitFor("inventory", [])]);
      const list = encodeSnapshotList(
        made.units.map(({ unit, digest }) => ({
          name: unit.name,
          digest: unit.name === "payments" ? digestOf(bytes) : digest,
        })),
      );
      const body = { ...made.record.body, snapshot: list.digest, changes: [] };
      const record = signRevision(body, testMesh, mesh.key.signer);
      mesh.revisions[mesh.revisions.length - 1] = { ...made, record, list };
      await publisher.blob(bytes);
      await publisher.publish({ record, list, units: made.units });
      await untilTrue(() => sync.policy.rejected?.number === body.number);
      expect(sync.policy.rejected?.reason).toMatch(index === 0 ? /unknown field 99/ : /at most/);
      expect(sync.policy.current?.epoch).toBe(1);
    }
  });

  test("equivocation: neither of two records of one epoch is followed, it is an alarm, a higher epoch cures it", async () => {
    const one = mesh.activation(second);
    const [previous] = mesh.activations;
    const other = mesh.activation(first, { reason: "twin", ...(previous && { previous }) });
    await Promise.all([publisher.activate(one), publisher.activate(other)]);
    await untilTrue(() => sync.problems().some((line) => line.includes("equivocation")));
    await publisher.activate(mesh.activation(first));
    await evaluates(3);
    expect(sync.problems().some((line) => line.includes("equivocation"))).toBe(false);
  });
});
