/** The proxy's knowledge on a real nats-server with real streams and a proxy's own permissions. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { buildSpiffeId } from "../../../core/identity.js";
import { openSync, type Sync } from "../../../data-plane/sync/open-sync.js";
import { openStateFolder } from "../../../data-plane/sync/state-folder.js";
import type { Bus } from "../../../runtime/bus.js";
import { systemClock } from "../../../runtime/clock.js";
import { connectNats } from "../../../runtime/nats.js";
import { MeshSigner, TestPublisher, unitFor } from "../../support/mesh-signer.js";
import { startTestNats, type TestNats } from "../../support/nats.js";
import { createTestKey, testMesh } from "../../support/records.js";
import { untilTrue } from "../../support/until.js";
import { RecordingLogger } from "./recording-logger.js";

const guest = buildSpiffeId(testMesh, "service", "guest");
const mesh = new MeshSigner();
let nats: TestNats;
let publisher: TestPublisher;
let bus: Bus;
let dir: string;
let sync: Sync;
const log = new RecordingLogger();

async function open(onBus: Bus): Promise<Sync> {
  return openSync(
    { bus: onBus, folder: await openStateFolder(join(dir, "state")), clock: systemClock, log },
    {
      mesh: testMesh,
      proxyId: "payments-1",
      service: "payments",
      upstreams: [],
      rootPublicKey: mesh.root.publicKey,
      issued: {
        trust: mesh.trust.bytes,
        activation: new Uint8Array(),
        revision: new Uint8Array(),
        freshness: new Uint8Array(),
      },
    },
  );
}

const allowed = (service: string): boolean | undefined =>
  sync.policy.current?.unit(service)?.evaluate(guest, "shop.Payments/Charge").allow;

/** Appends and says how long it took until the proxy evaluates it, in milliseconds. */
async function activate(revision: Parameters<MeshSigner["activation"]>[0]): Promise<number> {
  const record = mesh.activation(revision);
  const switched = new Promise<number>((resolve) => {
    const off = sync.policy.onSwitch((policy) => {
      if (policy.epoch !== record.body.epoch) return;
      off();
      resolve(performance.now());
    });
  });
  const fromMs = performance.now();
  await publisher.activate(record);
  return (await switched) - fromMs;
}

beforeAll(async () => {
  nats = await startTestNats();
  dir = await mkdtemp(join(tmpdir(), "ashlar-sync-"));
  publisher = new TestPublisher(await nats.connect(await nats.controlPlaneUser()));
  await publisher.trust(mesh.trust);
  bus = await nats.connect(await nats.proxyUser("payments", "p1"));
  sync = await open(bus);
  sync.start();
});

afterAll(async () => {
  await sync?.stop();
  await nats?.stop();
  await rm(dir, { recursive: true, force: true });
});

describe("a proxy on a real nats-server", () => {
  test("prepares what is published, switches when it is activated, rolls back without a fetch", async () => {
    expect(sync.policy.current).toBeUndefined();
    const first = mesh.revision([unitFor("payments", ["guest"]), unitFor("inventory", ["payments"])]);
    await publisher.publish(first);
    await untilTrue(() => sync.policy.prepared.length === 1);
    expect(sync.policy.current).toBeUndefined();
    const times = [await activate(first)];
    expect(allowed("payments")).toBe(true);

    const second = mesh.revision([unitFor("payments", []), unitFor("inventory", ["payments"])]);
    await publisher.publish(second);
    await untilTrue(() => sync.policy.prepared.length === 2);
    times.push(await activate(second));
    expect(allowed("payments")).toBe(false);
    for (let round = 0; round < 10; round += 1) times.push(await activate(round % 2 === 0 ? first : second));
    console.info(`activation to switch: ${times.map((ms) => ms.toFixed(1)).join(" ")} ms`);
    expect(sync.policy.seenEpoch).toBe(12);
    expect(sync.problems().filter((line) => !line.includes("fresh"))).toEqual([]);
  });

  test("holds the unit of a service from its first use on", async () => {
    expect(sync.policy.current?.unit("inventory")).toBeUndefined();
    expect(sync.policy.current?.has("inventory")).toBe(true);
    expect(await sync.policy.useService("nobody")).toBe(false);
    expect(await Promise.all([1, 2, 3].map(() => sync.policy.useService("inventory")))).toEqual([true, true, true]);
    expect(sync.policy.current?.unit("inventory")?.name).toBe("inventory");
  });

  test("I3: forged, flipped, foreign, unsigned and older records are refused, each with one clear line", async () => {
    const before = sync.policy.current;
    const [one] = mesh.revisions;
    if (one === undefined) throw new Error("no revision");
    const epoch = sync.policy.seenEpoch + 1;
    const good = mesh.activation(one, { reason: "fork" });
    const flipped = Uint8Array.from(good.bytes);
    flipped[flipped.length - 40] = flipped[flipped.length - 40] === 65 ? 66 : 65; // another letter of base64url
    const [header = "", payload = ""] = Buffer.from(good.bytes).toString("latin1").split(".");
    const stranger = new MeshSigner("other.mesh");
    const other = stranger.revision([unitFor("payments", ["guest"])]);
    const forger = new MeshSigner();
    const forged = forger.activation(forger.revision([unitFor("payments", ["guest"])]));
    const bad: [string, Uint8Array][] = [
      ["signature", flipped],
      ["signature is missing", Buffer.from(`${header}.${payload}.`)],
      ["other.mesh", stranger.activation(other).bytes],
      ["not trusted", forged.bytes],
      ["not a signed record", Buffer.from("hello")],
    ];
    for (const [line, bytes] of bad) {
      log.lines.length = 0;
      await publisher.append("activations", epoch, bytes);
      await untilTrue(() => log.lines.some((text) => text.includes(line)));
      expect(log.lines.every((text) => !text.includes("\n"))).toBe(true);
    }
    const older = mesh.activations[1];
    if (older) await publisher.append("activations", older.body.epoch, older.bytes);
    await bus.flush();
    expect(sync.policy.current).toBe(before);
    expect(sync.policy.seenEpoch).toBe(epoch - 1);

    await activate(one); // behind all that litter
    expect(sync.policy.current?.epoch).toBe(epoch);
  });

  test("a unit with a flipped bit rejects the revision, says why, and heals when good bytes are there", async () => {
    const bad = mesh.revision([unitFor("payments", ["guest", "eve"]), unitFor("inventory", ["payments"])]);
    const [unit] = bad.units.filter(({ unit: { name } }) => name === "payments");
    if (unit === undefined) throw new Error("no unit");
    const flipped = Uint8Array.from(unit.bytes);
    flipped[5] = (flipped[5] ?? 0) ^ 4;
    await publisher.blob(flipped, unit.digest);
    await publisher.publish(bad);
    await untilTrue(() => sync.policy.rejected !== undefined);
    expect(sync.policy.rejected).toMatchObject({ number: 3, reason: expect.stringContaining("unit payments") });
    await publisher.activate(mesh.activation(bad));
    await untilTrue(() => sync.policy.seenEpoch === mesh.activations.length);
    expect(sync.policy.current?.revision).toBe(1);
    expect(allowed("payments")).toBe(true);
    const [one] = mesh.revisions;
    if (one !== undefined) await activate(one);
    expect(sync.policy.current?.revision).toBe(1);
  });

  test("a record of a new key is judged again once the trust log names the key", async () => {
    const [one] = mesh.revisions;
    if (one === undefined) throw new Error("no revision");
    const old = mesh.key;
    mesh.key = createTestKey();
    const record = mesh.activation(one);
    log.lines.length = 0;
    await publisher.activate(record);
    await untilTrue(() => log.lines.some((text) => text.includes("not trusted")));
    expect(sync.policy.seenEpoch).toBe(record.body.epoch - 1);
    await publisher.trust(mesh.nextTrust([old, mesh.key], ["ab01"]));
    await untilTrue(() => sync.policy.current?.epoch === record.body.epoch);
    expect(sync.trust.sequence).toBe(2);
    expect(sync.trust.isRevoked("ab01")).toBe(true);
    expect(sync.trust.rootsPem[0]).toContain("BEGIN CERTIFICATE");
  });

  test("freshness is known, and a statement that is ahead of what came makes it read the log", async () => {
    publisher.freshness(mesh.freshness());
    await untilTrue(() => sync.policy.freshnessAgeMs < 5000);
    expect(sync.problems().filter((line) => line.includes("fresh"))).toEqual([]);
  });

  test("I2: it starts from disk without NATS and never goes back behind what it saw", async () => {
    const epoch = sync.policy.seenEpoch;
    const revision = sync.policy.current?.revisionDigest;
    await sync.stop();
    const offline = connectNats({
      servers: ["nats://127.0.0.1:1"],
      jwt: () => "",
      seed: () => "",
      inboxPrefix: "_INBOX_x",
      name: "offline",
      log,
    });
    sync = await open(offline);
    sync.start();
    expect(sync.policy.current?.revisionDigest).toBe(revision);
    expect(sync.policy.current?.epoch).toBe(epoch);
    expect(sync.policy.seenEpoch).toBe(epoch);
    expect(allowed("payments")).toBe(true);
    expect(sync.policy.current?.unit("inventory")?.name).toBe("inventory");
    expect(sync.trust.isRevoked("ab01")).toBe(true);
    await sync.stop();
    await offline.close();

    sync = await open(bus);
    sync.start();
    const second = mesh.revisions[1];
    if (second !== undefined) await activate(second);
    expect(allowed("payments")).toBe(false);
  });

  test("hearing of a higher epoch that the log does not have is waited for and changes nothing", async () => {
    const { seenEpoch } = sync.policy;
    await sync.policy.hearOfEpoch(seenEpoch + 5, "liar");
    expect(sync.policy.seenEpoch).toBe(seenEpoch);
  });
});
