import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { signPrepareOrder } from "../../../core/wire/prepare-orders.js";
import { openSync, type Sync } from "../../../data-plane/sync/open-sync.js";
import { systemClock } from "../../../runtime/clock.js";
import type { MemoryBroker } from "../../../runtime/memory-bus.js";
import { MeshSigner, TestPublisher, type TestRevision, unitFor } from "../../support/mesh-signer.js";
import { createTestKey, type TestKey, testMesh } from "../../support/records.js";
import { untilTrue } from "../../support/until.js";
import { MemoryFolder } from "./memory-folder.js";
import { createMemoryNats, LossyBus } from "./memory-nats.js";
import { RecordingLogger } from "./recording-logger.js";

const empty = new Uint8Array();
let mesh: MeshSigner;
let broker: MemoryBroker;
let bus: LossyBus;
let publisher: TestPublisher;
let sync: Sync;
let first: TestRevision;
let second: TestRevision;

async function open(folder = new MemoryFolder(), activation: Uint8Array = empty, clock = systemClock): Promise<Sync> {
  return openSync(
    { bus, folder, clock, log: new RecordingLogger() },
    {
      mesh: testMesh,
      proxyId: "payments-1",
      service: "payments",
      upstreams: [],
      rootPublicKey: mesh.root.publicKey,
      issued: { trust: mesh.trust.bytes, activation, revision: empty, freshness: empty },
    },
  );
}

const evaluates = (epoch: number): Promise<void> => untilTrue(() => sync.policy.current?.epoch === epoch);
/** A clock that counts how often a hint of a peer begins to be waited for. */
const hints = {
  waits: 0,
  clock: {
    ...systemClock,
    sleep(ms: number, signal?: AbortSignal): Promise<void> {
      if (ms === 250) hints.waits += 1;
      return systemClock.sleep(ms, signal);
    },
  },
};
async function restartCounting(): Promise<void> {
  await sync.stop();
  sync = await open(undefined, undefined, hints.clock);
  sync.start();
  await evaluates(1);
  await holdsSecond();
}
/** Only what is prepared is switched to at once. */
const holdsSecond = (): Promise<void> => untilTrue(() => sync.policy.prepared.some(({ number }) => number === 2));
const timed = async (work: Promise<unknown>): Promise<number> => {
  const fromMs = performance.now();
  await work;
  return performance.now() - fromMs;
};

beforeEach(async () => {
  mesh = new MeshSigner();
  broker = createMemoryNats();
  bus = new LossyBus(broker.connect());
  publisher = new TestPublisher(broker.connect());
  await publisher.trust(mesh.trust);
  sync = await open();
  sync.start();
  first = mesh.revision([unitFor("payments", ["guest"]), unitFor("inventory", [])]);
  second = mesh.revision([unitFor("payments", []), unitFor("inventory", [])]);
  for (const revision of [first, second]) await publisher.publish(revision);
  await publisher.activate(mesh.activation(first));
  await evaluates(1);
  await holdsSecond();
});

afterEach(() => sync.stop());

describe("what was missed", () => {
  test("shows against a freshness statement", async () => {
    bus.loses = true;
    for (const revision of [second, first, second]) await publisher.activate(mesh.activation(revision));
    bus.loses = false;
    publisher.freshness(mesh.freshness());
    await evaluates(4);
    expect(sync.policy.current?.revision).toBe(2);
  });

  test("a statement that is played again proves nothing", async () => {
    const statement = mesh.freshness({ issuedMs: Date.now() - 1000 });
    publisher.freshness(mesh.freshness());
    await untilTrue(() => sync.policy.freshnessAgeMs < 1000);
    publisher.freshness(statement);
    await untilTrue(() => sync.policy.freshnessAgeMs > 30);
  });

  test("is read after every reconnect, however many links there are", async () => {
    broker.setUp(false);
    const records = Array.from({ length: 70 }, (_, i) => mesh.activation(i % 2 === 0 ? second : first));
    await expect(sync.policy.useService("inventory")).rejects.toThrow("the policy of inventory");
    expect(sync.policy.current?.epoch).toBe(1);
    broker.setUp(true);
    bus.loses = true;
    for (const record of records) await publisher.activate(record);
    broker.setUp(false);
    broker.setUp(true);
    await evaluates(71);
  });

  test("a head given at join is the base: the links before it are not walked", async () => {
    for (const revision of [second, first]) await publisher.activate(mesh.activation(revision));
    await sync.stop();
    sync = await open(new MemoryFolder(), mesh.activations[2]?.bytes);
    expect(sync.policy.seenEpoch).toBe(3);
    sync.start();
    await evaluates(3);
    await publisher.activate(mesh.activation(second));
    await evaluates(4);
  });
});

test("a proxy that joins long after an activation, or with a clock that is wrong, was not late with it by that", async () => {
  const hourMs = 3_600_000;
  for (const offMs of [hourMs, 0, -hourMs]) {
    await sync.stop();
    const clock = { ...systemClock, nowMs: () => Date.now() + hourMs + offMs };
    sync = await open(new MemoryFolder(), mesh.activations[0]?.bytes, clock);
    sync.start();
    await evaluates(1);
    expect(sync.policy.lagMs).toBeLessThan(60_000);
  }
});

describe("an assertion that does not hold", () => {
  const never = (from: string) =>
    ({ kind: "Assertion", name: "s", service: "payments", claim: "never", from: [from], methods: [] }) as const;

  test("rejects the whole revision with a counter-example, also if the publisher let it pass (I6)", async () => {
    const unit = { ...unitFor("payments", ["guest", "other"]), assertions: [never("guest")] };
    const bad = mesh.revision([unit, unitFor("inventory", [])]);
    await publisher.publish(bad);
    await untilTrue(() => sync.policy.rejected !== undefined);
    expect(sync.policy.rejected).toMatchObject({
      number: 3,
      reason: 'assertion s: "never" does not hold: guest may call payments/*, by payments-callers/allow[0]',
    });
    await publisher.activate(mesh.activation(bad));
    await untilTrue(() => sync.policy.seenEpoch === 2);
    expect(sync.policy.current).toMatchObject({ epoch: 1, revision: 1 });
  });

  test("of another service is not run, and one that holds is evaluated with", async () => {
    const holds = { ...unitFor("payments", ["other"]), assertions: [never("guest")] };
    await publisher.publish(mesh.revision([holds, unitFor("inventory", [])]));
    const elsewhere = { ...unitFor("inventory", ["guest"]), assertions: [{ ...never("guest"), service: "inventory" }] };
    const last = mesh.revision([holds, elsewhere]);
    await publisher.publish(last);
    await publisher.activate(mesh.activation(last));
    await evaluates(2);
    expect(sync.policy.current?.revision).toBe(4);
    await expect(sync.policy.useService("inventory")).rejects.toThrow(/the policy of inventory: assertion s: "never"/);
  });
});

describe("using a service", () => {
  test("fetches its unit once for all who ask, for every revision that is held", async () => {
    const before = bus.reads;
    const asked = Array.from({ length: 50 }, () => sync.policy.useService("inventory"));
    expect(new Set(await Promise.all(asked))).toEqual(new Set([true]));
    expect(bus.reads - before).toBeLessThanOrEqual(3);
    await publisher.activate(mesh.activation(second));
    await evaluates(2);
    expect(sync.policy.current?.unit("inventory")).toBeDefined();
    expect(sync.policy.current?.has("@mesh")).toBe(false);
  });

  test("whose unit nobody has is unavailable after its bound", async () => {
    const third = mesh.revision([unitFor("payments", []), unitFor("orders", ["payments"])]);
    const own = third.units.filter(({ unit }) => unit.name === "payments");
    for (const { bytes } of [...own, third.list]) await publisher.blob(bytes);
    await publisher.append("revisions", 3, third.record.bytes);
    await publisher.activate(mesh.activation(third));
    await evaluates(2);
    const ms = await timed(expect(sync.policy.useService("orders")).rejects.toThrow("could not be had"));
    expect(ms).toBeGreaterThan(1900);
  });
});

describe("a peer's hint of a higher epoch", () => {
  test("makes it read the log before the call is judged", async () => {
    await sync.stop();
    // its bound of 250 ms is ten seconds here, which a busy machine does not need
    sync = await open(undefined, undefined, { ...systemClock, monotonicMs: () => systemClock.monotonicMs() / 40 });
    sync.start();
    await evaluates(1);
    await holdsSecond();
    bus.loses = true;
    await publisher.activate(mesh.activation(second));
    expect(sync.policy.current?.epoch).toBe(1);
    expect(await timed(sync.policy.hearOfEpoch(2, "checkout"))).toBeLessThan(10_000);
    expect(sync.policy.current?.epoch).toBe(2);
  });

  test("is one read for all calls, and a lie is waited for once", async () => {
    await restartCounting();
    const before = bus.reads;
    const ms = await timed(Promise.all(Array.from({ length: 200 }, () => sync.policy.hearOfEpoch(9, "liar"))));
    expect(ms).toBeGreaterThan(200);
    expect(bus.reads - before).toBeLessThan(30);
    const { waits } = hints;
    await sync.policy.hearOfEpoch(10, "liar");
    expect(hints.waits).toBe(waits);
    await publisher.activate(mesh.activation(second));
    await evaluates(2);
    expect(await timed(sync.policy.hearOfEpoch(10, "liar"))).toBeGreaterThan(200);
  });

  test("with the log out of reach costs one bounded wait", async () => {
    await restartCounting();
    broker.setUp(false);
    const before = hints.waits;
    await sync.policy.hearOfEpoch(2, "checkout");
    const { waits } = hints;
    expect(waits).toBeGreaterThan(before);
    await sync.policy.hearOfEpoch(2, "checkout");
    expect(hints.waits).toBe(waits);
    expect(sync.policy.current?.epoch).toBe(1);
  });

  test("that is old or no number changes nothing", async () => {
    const before = bus.reads;
    for (const epoch of [0, 1, -1, Number.NaN, 1.5, Number.POSITIVE_INFINITY])
      await sync.policy.hearOfEpoch(epoch, "x");
    expect(bus.reads).toBe(before);
  });
});

test("a revision whose change list was too large to sign is prepared from its list, in chunks", async () => {
  const units = Array.from({ length: 12_000 }, (_, i) => unitFor(`service-${String(i).padStart(5, "0")}`, []));
  const large = mesh.revision([unitFor("payments", ["guest"]), ...units]);
  expect(large.record.body.changes).toEqual([]);
  expect(large.list.bytes.length).toBeGreaterThan(512 * 1024);
  const own = large.units.filter(({ unit }) => unit.name === "payments");
  for (const { bytes } of [...own, large.list]) await publisher.blob(bytes);
  await publisher.append("revisions", 3, large.record.bytes);
  await untilTrue(() => sync.policy.prepared.some((one) => one.number === 3));
  await publisher.activate(mesh.activation(large));
  await evaluates(2);
  expect(sync.policy.current?.has("service-11999")).toBe(true);
  expect(sync.policy.current?.has("service-12000")).toBe(false);
});

describe("an order to prepare a revision that proxies hold no more", () => {
  const order = (revision: TestRevision, parts: { atMs?: number; key?: TestKey } = {}): Uint8Array => {
    const issuedMs = parts.atMs ?? Date.now();
    const { body, digest } = revision.record;
    return signPrepareOrder(
      { revision: { number: body.number, digest }, issuedMs, expiresMs: issuedMs + 15_000 },
      testMesh,
      (parts.key ?? mesh.key).signer,
    ).bytes;
  };
  const holds = (number: number): boolean => sync.policy.prepared.some((one) => one.number === number);

  test("is followed if a control plane signed it and it is of now, also where the revision's key was dropped since", async () => {
    for (let number = 3; number <= 20; number += 1) {
      await publisher.publish(mesh.revision([unitFor("payments", [`caller-${number}`])]));
      await untilTrue(() => holds(number));
    }
    expect(holds(2)).toBe(false);
    const stranger = createTestKey();
    publisher.prepareOrder(order(second, { key: stranger }));
    publisher.prepareOrder(order(second, { atMs: Date.now() - 60_000 }));
    await untilTrue(() => sync.refusedRecords === 2);
    expect(holds(2)).toBe(false);

    const successor = createTestKey();
    await publisher.trust(mesh.nextTrust([mesh.key, successor]));
    mesh.key = successor;
    await publisher.activate(mesh.activation(first));
    await publisher.trust(mesh.nextTrust([successor]));
    await untilTrue(() => sync.trust.sequence === 3);
    publisher.prepareOrder(order(second));
    await untilTrue(() => holds(2));
    await publisher.activate(mesh.activation(second));
    await evaluates(3);
  });
});
