/** I3, I6: whatever is done to records, units and files on disk, nothing crashes and nothing forged is adopted. */
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { digestOf } from "../../core/digest.js";
import { AshlarError } from "../../core/errors.js";
import { buildSpiffeId } from "../../core/identity.js";
import { publicKeyFromBytes, type RecordType, signRecord } from "../../core/signature.js";
import { verifyPrepareOrder } from "../../core/wire/prepare-orders.js";
import { verifyActivation, verifyFreshness, verifyRevision, verifyTrust } from "../../core/wire/records.js";
import { verifyRollout } from "../../core/wire/rollouts.js";
import { parseUnit } from "../../core/wire/units.js";
import { openSync, type Sync } from "../../data-plane/sync/open-sync.js";
import { systemClock } from "../../runtime/clock.js";
import { MemoryFolder } from "../data-plane/sync/memory-folder.js";
import { createMemoryNats, createOfflineBus } from "../data-plane/sync/memory-nats.js";
import { RecordingLogger } from "../data-plane/sync/recording-logger.js";
import { MeshSigner, TestPublisher, unitFor } from "../support/mesh-signer.js";
import { testMesh } from "../support/records.js";
import { runs } from "../support/runs.js";
import { untilTrue } from "../support/until.js";

const [guest, stranger] = [
  buildSpiffeId(testMesh, "service", "guest"),
  buildSpiffeId(testMesh, "service", "stranger"),
] as const;
const seed = 20_260_101;
const empty = new Uint8Array();
const mesh = new MeshSigner();
const keys = new Map([[mesh.key.signer.kid, publicKeyFromBytes(mesh.key.publicKey)]]);
const readers: Readonly<Partial<Record<RecordType, (bytes: Uint8Array) => unknown>>> = {
  "ashlar-revision": (bytes) => verifyRevision(bytes, testMesh, keys),
  "ashlar-activation": (bytes) => verifyActivation(bytes, testMesh, keys),
  "ashlar-trust": (bytes) => verifyTrust(bytes, testMesh, keys),
  "ashlar-rollout": (bytes) => verifyRollout(bytes, testMesh, keys),
  "ashlar-freshness": (bytes) => verifyFreshness(bytes, testMesh, keys),
  "ashlar-prepare": (bytes) => verifyPrepareOrder(bytes, testMesh, keys),
};

interface Change {
  readonly kind: string;
  readonly at: number;
  readonly value: number;
}
const changes = fc.array(
  fc.record({
    kind: fc.constantFrom("flip", "set", "cut", "drop", "insert", "double", "dot"),
    at: fc.nat(),
    value: fc.nat(255),
  }),
  { minLength: 1, maxLength: 4 },
);

function change(bytes: Uint8Array, list: readonly Change[]): Uint8Array {
  let changed = Buffer.from(bytes);
  for (const { kind, at: anywhere, value } of list) {
    const at = changed.length === 0 ? 0 : anywhere % changed.length;
    const [before, after] = [changed.subarray(0, at), changed.subarray(at)];
    const byte = changed[at] ?? 0;
    if (kind === "flip") changed[at] = byte ^ (1 << (value % 8));
    else if (kind === "set") changed[at] = value;
    else if (kind === "cut") changed = Buffer.from(before);
    else if (kind === "drop") changed = Buffer.concat([before, after.subarray(1)]);
    else if (kind === "insert") changed = Buffer.concat([before, Buffer.from([value]), after]);
    else if (kind === "double") changed = Buffer.concat([changed, after.subarray(0, 4096)]);
    else changed = Buffer.concat([before, Buffer.from("."), after]);
  }
  return new Uint8Array(changed);
}

/** Reads, or refuses with an error of ours. */
function readOrRefuse(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(AshlarError);
    return false;
  }
}

const revision = mesh.revision([unitFor("payments", ["guest"]), unitFor("inventory", [])]);
const activation = mesh.activation(revision);

test("a signed record that was changed anywhere is refused as every kind; any payload under a good signature is read or refused", () => {
  const originals = [revision.record.bytes, activation.bytes, mesh.trust.bytes, mesh.freshness().bytes];
  fc.assert(
    fc.property(fc.constantFrom(...originals), changes, (original, list) => {
      const bytes = change(original, list);
      if (Buffer.compare(bytes, original) === 0) return;
      for (const read of Object.values(readers)) expect(readOrRefuse(() => read(bytes))).toBe(false);
    }),
    { seed, numRuns: runs(2000) },
  );
  fc.assert(
    fc.property(fc.constantFrom(...originals), changes, fc.uint8Array({ maxLength: 200 }), (original, list, random) => {
      const [, body = ""] = Buffer.from(original).toString("latin1").split(".");
      for (const payload of [change(new Uint8Array(Buffer.from(body, "base64url")), list), random])
        for (const [type, read] of Object.entries(readers))
          readOrRefuse(() => read(signRecord(type as RecordType, testMesh, payload, mesh.key.signer)));
    }),
    { seed, numRuns: runs(300) },
  );
});

test("unit bytes that were changed are refused by digest, and under a digest of their own are read or refused", () => {
  const { bytes, digest } = revision.units[0] ?? { bytes: empty, digest: digestOf(empty) };
  fc.assert(
    fc.property(changes, (list) => {
      const changed = change(bytes, list);
      if (Buffer.compare(changed, bytes) === 0) return;
      expect(readOrRefuse(() => parseUnit(changed, { name: "payments", digest }))).toBe(false);
      readOrRefuse(() => parseUnit(changed, { name: "payments", digest: digestOf(changed) }));
    }),
    { seed, numRuns: runs(2000) },
  );
});

const open = (folder: MemoryFolder, bus = createOfflineBus()): Promise<Sync> =>
  openSync(
    { bus, folder, clock: systemClock, log: new RecordingLogger() },
    {
      mesh: testMesh,
      proxyId: "payments-1",
      service: "payments",
      upstreams: [],
      rootPublicKey: mesh.root.publicKey,
      issued: { trust: mesh.trust.bytes, activation: empty, revision: empty, freshness: empty },
    },
  );

test("a proxy that meets hundreds of changed records follows none, and goes on with the next good one", async () => {
  const broker = createMemoryNats();
  const publisher = new TestPublisher(broker.connect());
  const whole = new MemoryFolder();
  let sync = await open(whole, broker.connect());
  sync.start();
  await publisher.trust(mesh.trust);
  await publisher.publish(revision);
  await publisher.activate(activation);
  await untilTrue(() => sync.policy.current?.epoch === 1);
  const next = mesh.activation(revision);
  const third = mesh.revision([unitFor("payments", [])]);
  const lists = fc.sample(changes, { seed, numRuns: 200 });
  for (const [index, list] of lists.entries()) {
    const [log, key, bytes] = (
      [
        ["activations", 2, next.bytes],
        ["revisions", 2, third.record.bytes],
        ["trust", 2, mesh.trust.bytes],
      ] as const
    )[index % 3] ?? ["trust", 2, empty];
    const changed = change(bytes, list);
    if (Buffer.compare(changed, bytes) !== 0) await publisher.append(log, key, changed);
  }
  expect(sync.policy.current?.epoch).toBe(1);
  await publisher.activate(next);
  await untilTrue(() => sync.policy.current?.epoch === 2);
  await sync.stop();

  const files = [...whole.files.keys()].filter((name) => name !== "reserve");
  for (const [index, list] of lists.entries()) {
    const folder = whole.copy();
    const name = files[index % files.length] ?? "";
    const other = folder.files.get(files[(index * 7) % files.length] ?? "") ?? empty;
    folder.files.set(name, index % 5 === 4 ? other : change(folder.files.get(name) ?? empty, list));
    sync = await open(folder);
    const current = sync.policy.current;
    const allowed = [guest, stranger].map((caller) => current?.unit("payments")?.evaluate(caller, "a.B/C").allow);
    if (current !== undefined) expect([current.revision, ...allowed]).toEqual([1, true, false]);
    await sync.stop();
  }
}, 60_000);
