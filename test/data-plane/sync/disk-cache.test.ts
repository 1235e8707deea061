import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { buildSpiffeId } from "../../../core/identity.js";
import { rootKeySet } from "../../../core/wire/records.js";
import { DiskCache } from "../../../data-plane/sync/disk-cache.js";
import { openSync, type Sync } from "../../../data-plane/sync/open-sync.js";
import { encodeStateFile } from "../../../data-plane/sync/state-file.js";
import { openStateFolder } from "../../../data-plane/sync/state-folder.js";
import { systemClock } from "../../../runtime/clock.js";
import { MeshSigner, TestPublisher, unitFor } from "../../support/mesh-signer.js";
import { testMesh } from "../../support/records.js";
import { stride } from "../../support/runs.js";
import { untilTrue } from "../../support/until.js";
import { MemoryFolder } from "./memory-folder.js";
import { createMemoryNats, createOfflineBus } from "./memory-nats.js";
import { RecordingLogger } from "./recording-logger.js";

const mesh = new MeshSigner();
const guest = buildSpiffeId(testMesh, "service", "guest");
const empty = new Uint8Array();
const whole = new MemoryFolder();

async function open(folder: MemoryFolder, log = new RecordingLogger(), bus = createOfflineBus()): Promise<Sync> {
  return openSync(
    { bus, folder, clock: systemClock, log },
    {
      mesh: testMesh,
      proxyId: "payments-1",
      service: "payments",
      upstreams: [],
      rootPublicKey: mesh.root.publicKey,
      issued: { trust: mesh.trust.bytes, activation: empty, revision: empty, freshness: empty },
    },
  );
}

async function seenEpochOf(folder: MemoryFolder): Promise<number> {
  const log = new RecordingLogger();
  const sync = await open(folder, log);
  const { seenEpoch } = sync.policy;
  await sync.stop();
  expect(log.lines).toEqual([]);
  return seenEpoch;
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

beforeAll(async () => {
  const bus = createMemoryNats().connect();
  const publisher = new TestPublisher(bus);
  const sync = await open(whole, new RecordingLogger(), bus);
  sync.start();
  await publisher.trust(mesh.trust);
  for (const callers of [["guest"], []]) {
    const revision = mesh.revision([unitFor("payments", callers), unitFor("inventory", ["payments"])]);
    await publisher.publish(revision);
    await publisher.activate(mesh.activation(revision));
    await untilTrue(() => sync.policy.current?.revision === revision.record.body.number);
  }
  await sync.policy.useService("inventory");
  await sync.stop();
});

describe("the state on disk", () => {
  test("is enough to evaluate the last good revision, its units, and the one before", async () => {
    const sync = await open(whole.copy());
    expect(sync.policy.current?.revision).toBe(2);
    expect(sync.policy.seenEpoch).toBe(2);
    expect(sync.policy.prepared.map((one) => one.number)).toEqual([2, 1]);
    expect(sync.policy.current?.unit("payments")?.evaluate(guest, "a.B/C").allow).toBe(false);
    expect(sync.policy.current?.unit("inventory")?.name).toBe("inventory");
    await sync.stop();
  });

  test("with nothing on disk nothing is evaluated", async () => {
    const sync = await open(new MemoryFolder());
    expect(sync.policy.current).toBeUndefined();
    await expect(sync.policy.useService("payments")).rejects.toThrow("no revision is evaluated yet");
    await sync.stop();
  });

  // A run takes one byte of sixteen, another sixteenth each time: all of them would take twenty seconds of CPU.
  test("a flip of any byte is refused or harmless, says at most a line a file, and never adopts anything", async () => {
    const step = stride(16);
    const seed = randomInt(8 * step);
    let [flips, refused] = [0, 0];
    for (const [name, bytes] of whole.files) {
      for (let at = seed % step; at < bytes.length; at += step) {
        if (name === "floor-epoch" && bytes[at] === 0) continue; // room behind the content of a slot
        const folder = whole.copy();
        const flipped = bytes.slice();
        flipped[at] = (flipped[at] ?? 0) ^ (1 << ((at + Math.floor(seed / step)) % 8));
        folder.files.set(name, flipped);
        const log = new RecordingLogger();
        const sync = await open(folder, log);
        const { current, seenEpoch } = sync.policy;
        const adopted = current && [current.revisionDigest, current.unit("payments")?.evaluate(guest, "a.B/C").allow];
        const isSaid = log.lines.every((line) => !line.includes("\n") && line.startsWith("state on disk: "));
        expect({ seed, name, at, adopted, seenEpoch, isSaid }).toEqual({
          seed,
          name,
          at,
          isSaid: true,
          adopted: current && [mesh.revisions[1]?.record.digest, current.unit("payments") && false],
          seenEpoch: seenEpoch === 0 ? 0 : 2,
        });
        flips += 1;
        if (log.lines.length > 0) refused += 1;
        await sync.stop();
      }
    }
    expect(refused).toBeGreaterThan(flips / 4);
  }, 60_000);

  const stranger = new MeshSigner("other.mesh");
  const forger = new MeshSigner();
  const policy = [unitFor("payments", ["guest"])];
  const [header = "", payload = ""] = textOf(mesh.trust.bytes).split(".");
  for (const [name, line, activation] of [
    ["of another mesh", "other.mesh", () => stranger.activation(stranger.revision(policy)).bytes],
    ["of a key that is not trusted", "not trusted", () => forger.activation(forger.revision(policy)).bytes],
    ["without a signature", "signature is missing", () => Buffer.from(`${header}.${payload}.`)],
    ["that is not a record", "not a signed record", () => Buffer.from("x")],
  ] as const) {
    test(`an activation ${name} in a file with a good checksum is refused in one line`, async () => {
      const folder = whole.copy();
      folder.files.delete("floor-epoch");
      const text = textOf(activation());
      folder.files.set("floor", encodeStateFile({ activations: [text], trust: [textOf(mesh.trust.bytes)] }));
      folder.files.set("last-good", encodeStateFile({ activation: text, lagMs: 0, revisions: [] }));
      const log = new RecordingLogger();
      const sync = await open(folder, log);
      expect(sync.policy.current).toBeUndefined();
      expect(sync.policy.seenEpoch).toBe(0);
      expect(log.lines).toHaveLength(2);
      expect(log.lines[0]).toContain(line);
      await sync.stop();
    });
  }

  test("I2: a floor that was put back is raised again by the last good activation", async () => {
    const folder = whole.copy();
    const [first] = mesh.activations;
    const older = { activations: [textOf(first?.bytes ?? empty)], trust: [textOf(mesh.trust.bytes)] };
    folder.files.set("floor", encodeStateFile(older));
    folder.files.delete("floor-epoch");
    const sync = await open(folder);
    expect(sync.policy.seenEpoch).toBe(2);
    expect(sync.policy.current?.epoch).toBe(2);
    await sync.stop();
  });

  test("I2: the highest of both files of the floor counts, whichever it is", async () => {
    const [first] = mesh.activations;
    const newest = mesh.activations[1]?.bytes ?? empty;
    const older = { activations: [textOf(first?.bytes ?? empty)], trust: [textOf(mesh.trust.bytes)] };
    const behind = whole.copy();
    behind.files.delete("last-good");
    behind.files.set("floor", encodeStateFile(older));
    expect(await seenEpochOf(behind)).toBe(2);
    const ahead = new MemoryFolder(); // the trust record changed since, and with it the whole floor was written
    await (await ahead.openSlots("floor-epoch")).write(Buffer.from(JSON.stringify(older)));
    ahead.files.set("floor", encodeStateFile({ ...older, activations: [textOf(newest)] }));
    expect(await seenEpochOf(ahead)).toBe(2);
  });

  test("the state of a version that had one file for the floor is read, and its trust is not written again", async () => {
    const folder = whole.copy();
    const heads = { activations: [textOf(mesh.activations[1]?.bytes ?? empty)], trust: [textOf(mesh.trust.bytes)] };
    folder.files.set("floor", encodeStateFile(heads));
    folder.files.delete("floor-epoch");
    expect(await seenEpochOf(folder)).toBe(2);
  });

  test("I2: a write of the floor that is torn at any byte leaves what was there before", async () => {
    const [first, second] = mesh.activations.map(({ bytes }) => JSON.stringify({ activations: [textOf(bytes)] }));
    const folder = whole.copy();
    folder.files.delete("last-good");
    folder.files.set("floor", encodeStateFile({ activations: [], trust: [textOf(mesh.trust.bytes)] }));
    folder.files.delete("floor-epoch");
    const slots = await folder.openSlots("floor-epoch");
    for (let count = 0; count < 3; count += 1) await slots.write(Buffer.from(first ?? ""));
    const before = folder.files.get("floor-epoch") ?? empty;
    await slots.write(Buffer.from(second ?? ""));
    const after = folder.files.get("floor-epoch") ?? empty;
    const seen: number[] = [];
    const step = stride(11);
    for (let torn = 0; torn < 1600; torn += step) {
      const copy = folder.copy();
      copy.files.set("floor-epoch", Buffer.concat([after.subarray(0, torn), before.subarray(torn)]));
      seen.push(await seenEpochOf(copy));
    }
    const first400 = Math.floor(400 / step);
    expect(seen.slice(0, first400)).toEqual(Array.from({ length: first400 }, () => 1));
    expect(seen).toEqual(seen.toSorted()); // nothing until all of it is there
    expect(seen.at(-1)).toBe(2);
  });

  test("I2: the whole floor is written where its file was removed, or the heads do not fit", async () => {
    const dir = mkdtempSync(join(tmpdir(), "ashlar-floor-"));
    const log = new RecordingLogger();
    const cache = new DiskCache({ folder: await openStateFolder(dir), log }, testMesh);
    const rootKeys = rootKeySet(mesh.root.publicKey);
    await cache.load(rootKeys, undefined);
    const [first, second] = mesh.activations;
    if (first === undefined || second === undefined) throw new Error("no activations");
    const epochOnDisk = async (): Promise<number | undefined> => {
      const other = new DiskCache({ folder: await openStateFolder(dir), log }, testMesh);
      const { activations } = await other.load(rootKeys, undefined);
      await other.close();
      return activations[0]?.body.epoch;
    };
    const instead = (): readonly string[] => log.lines.filter((line) => line.includes("written instead"));
    await cache.saveFloor([first], [mesh.trust]);
    await cache.saveFloor([second], [mesh.trust]);
    expect([await epochOnDisk(), instead()]).toEqual([2, []]);
    const [revision] = mesh.revisions;
    const large = revision && mesh.activation(revision, { reason: "x".repeat(4000), previous: second });
    if (large === undefined) throw new Error("no revision");
    await cache.saveFloor([large, large], [mesh.trust]); // as many bytes as two heads of one epoch have
    expect([await epochOnDisk(), instead()]).toEqual([3, []]);
    rmSync(join(dir, "floor-epoch"));
    rmSync(join(dir, "floor"));
    await cache.saveFloor([second], [mesh.trust]);
    expect(instead().join()).toContain("the file was removed; the whole floor is written instead");
    expect(await epochOnDisk()).toBe(2);
    await cache.close();
    rmSync(dir, { recursive: true, force: true });
  });

  test("a full disk is an alarm: what is evaluated stays, and goes on once there is room", async () => {
    const bus = createMemoryNats().connect();
    const folder = whole.copy();
    const sync = await open(folder, new RecordingLogger(), bus);
    sync.start();
    const fork = { reason: "next", previous: mesh.activations[1] } as Parameters<MeshSigner["activation"]>[1];
    const [one] = mesh.revisions;
    if (one === undefined) throw new Error("no revision");
    folder.isFull = true;
    await new TestPublisher(bus).activate(mesh.activation(one, fork));
    await untilTrue(() => sync.problems().some((problem) => problem.includes("no space left")));
    expect([sync.policy.current?.epoch, sync.policy.seenEpoch]).toEqual([2, 2]);
    folder.isFull = false;
    await untilTrue(() => sync.policy.current?.epoch === 3);
    expect(sync.problems().some((problem) => problem.includes("no space left"))).toBe(false);
    await sync.stop();
  });
});
