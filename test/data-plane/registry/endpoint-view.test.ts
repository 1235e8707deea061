/** Endpoints and heartbeats between a reporter and a view on a real nats-server. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Endpoint, Heartbeat } from "../../../core/model.js";
import { encodeEndpoint, parseHeartbeat } from "../../../core/wire/fleet.js";
import { endpointSubject, heartbeatSubject, parseFleetSubject } from "../../../core/wire/subjects.js";
import type { AppRegistration, AppView, IdentityView, PolicyView } from "../../../data-plane/ports.js";
import { type EndpointRegistry, openEndpointRegistry } from "../../../data-plane/registry/endpoint-view.js";
import { CallWindow } from "../../../data-plane/status/call-window.js";
import { createFleetReporter, type FleetReporter } from "../../../data-plane/status/fleet-reporter.js";
import { openStateFolder } from "../../../data-plane/sync/state-folder.js";
import type { Bus } from "../../../runtime/bus.js";
import { systemClock } from "../../../runtime/clock.js";
import { silentLogger } from "../../../runtime/log.js";
import { startTestNats, type TestNats } from "../../support/nats.js";
import { StatementPki, writerOf } from "../../support/statements.js";
import { untilTrue } from "../../support/until.js";
import { RecordingLogger } from "../sync/recording-logger.js";

class TestApp implements AppView {
  current: AppRegistration | undefined;
  readonly #listeners = new Set<(app: AppRegistration | undefined) => void>();
  onChange(listener: (app: AppRegistration | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  reportRefused(): void {}
  set(app: AppRegistration | undefined): void {
    this.current = app;
    for (const listener of this.#listeners) listener(app);
  }
}

const pki = new StatementPki();
const identity: IdentityView = { current: pki.issue("payments", "p1"), onRotate: () => () => {} };
const statements = writerOf(identity.current);
const trustListeners = new Set<() => void>();
const revoked = (): void => {
  for (const listener of trustListeners) listener();
};
const judging = {
  reader: pki.reader(),
  trust: {
    onChange(listener: () => void) {
      trustListeners.add(listener);
      return () => trustListeners.delete(listener);
    },
  },
};

const policy: PolicyView = {
  current: undefined,
  seenEpoch: 7,
  prepared: [],
  rejected: undefined,
  lagMs: 1.5,
  freshnessAgeMs: Number.POSITIVE_INFINITY,
  isStaged: false,
  trustSequence: 3,
  seenActivation: undefined,
  onSwitch: () => () => {},
  useService: async () => true,
  hearOfEpoch: async () => {},
};

const registration: AppRegistration = { instance: "one", target: { path: "/tmp/app.sock" } };
const log = new RecordingLogger();
let nats: TestNats;
let dir: string;
let writer: Bus;
let reader: Bus;
let view: EndpointRegistry;
let reporter: FleetReporter;
const app = new TestApp();
const heartbeats: Heartbeat[] = [];

const self = { service: "checkout", proxyId: "c1" };
const open = async (bus: Bus): Promise<EndpointRegistry> =>
  openEndpointRegistry({ bus, folder: await openStateFolder(dir), clock: systemClock, log, ...judging }, self);
const addresses = (): string[] => view.endpoints("payments").map((one) => one.address);

const window = new CallWindow(undefined);

function createReporter(): FleetReporter {
  return createFleetReporter(
    { bus: writer, clock: systemClock, log: silentLogger, identity, statements, policy, app, window },
    { labels: [], bypassable: ["app tcp 127.0.0.1:8080"], serves: true, lookAgainMs: 100 },
  );
}

beforeAll(async () => {
  nats = await startTestNats();
  dir = await mkdtemp(join(tmpdir(), "ashlar-view-"));
  writer = await nats.connect(await nats.proxyUser("payments", "p1"));
  reader = await nats.connect(await nats.proxyUser("checkout", "c1"));
  const messages = reader.subscribe(heartbeatSubject("payments", "*"));
  void (async () => {
    for await (const message of messages) {
      const from = parseFleetSubject(message.subject);
      if (from !== undefined) heartbeats.push(parseHeartbeat(message.data, from));
    }
  })();
  view = await open(reader);
  reporter = createReporter();
});

afterAll(async () => {
  reporter?.stop();
  await view?.stop();
  await nats?.stop();
  await rm(dir, { recursive: true, force: true });
});

test("an instance shows once its application is registered, and goes by tombstone when it leaves", async () => {
  expect(addresses()).toEqual([]);
  reporter.start("127.0.0.1:9001");
  app.set(registration);
  await untilTrue(() => addresses().length === 1);
  expect(view.endpoints("payments")[0]).toMatchObject({ proxyId: "p1", instance: "one", version: "v1", gone: false });
  app.set(undefined);
  await untilTrue(() => addresses().length === 0);
  app.set(registration);
  await untilTrue(() => addresses().length === 1);
});

test("an endpoint that somebody else took away is stated again", async () => {
  const subject = endpointSubject("payments", "p1");
  const removed = { ...view.endpoints("payments")[0], gone: true, timeMs: Date.now() + 5000 } as Endpoint;
  const bytes = encodeEndpoint(removed);
  await writer.append(subject, bytes, { headers: statements.sign("endpoint", bytes) });
  await untilTrue(() => addresses().length === 0);
  await untilTrue(() => addresses().length === 1);
});

test("I7: a heartbeat says what is, at once after a change", async () => {
  const from = heartbeats.length;
  reporter.poke();
  reporter.poke();
  await untilTrue(() => heartbeats.length > from);
  expect(heartbeats[heartbeats.length - 1]).toMatchObject({
    proxyId: "p1",
    seenEpoch: 7,
    evaluatingEpoch: 0,
    evaluatingDigest: undefined,
    trustSequence: 3,
    freshnessAgeMs: Number.MAX_SAFE_INTEGER,
    lagMs: 2,
    serving: true,
    bypassable: ["app tcp 127.0.0.1:8080"],
    leaving: false,
  });
});

test("a body that disagrees with its subject, and a write by somebody else, change nothing", async () => {
  const stranger = await nats.connect(await nats.proxyUser("payments", "p2"));
  const endpoint = { ...view.endpoints("payments")[0], address: "10.0.0.1:1", timeMs: Date.now() + 1000 };
  const forged = encodeEndpoint({ ...endpoint, proxyId: "p1" } as Parameters<typeof encodeEndpoint>[0]);
  await stranger.append(endpointSubject("payments", "p2"), forged);
  await untilTrue(() => log.lines.some((line) => line.includes("is refused")));
  await expect(stranger.append(endpointSubject("payments", "p1"), forged)).rejects.toThrow();
  expect(addresses()).toEqual(["127.0.0.1:9001"]);
});

test("a view that comes later reads everybody's last word", async () => {
  const later = await openEndpointRegistry(
    {
      bus: await nats.connect(await nats.proxyUser("checkout", "c2")),
      folder: await openStateFolder(join(dir, "later")),
      clock: systemClock,
      log,
      ...judging,
    },
    self,
  );
  await later.ready("payments");
  expect(later.endpoints("payments").map((one) => one.address)).toEqual(["127.0.0.1:9001"]);
  await later.stop();
});

test("a view that comes later prefers who was heard of lately to a killed proxy's old record", async () => {
  const killed = pki.issue("payments", "killed");
  const subject = endpointSubject("payments", "killed");
  const state = async (address: string, timeMs: number): Promise<void> => {
    const [one] = view.endpoints("payments");
    const bytes = encodeEndpoint({ ...one, proxyId: "killed", instance: "killed", address, timeMs } as Endpoint);
    const headers = writerOf(killed).sign("endpoint", bytes);
    const forAll = await nats.connect(await nats.proxyUser("payments", "killed"));
    await forAll.append(subject, bytes, { headers });
  };
  await state("127.0.0.1:9009", Date.now() - 120_000);
  const folder = await openStateFolder(join(dir, "much-later"));
  const bus = await nats.connect(await nats.proxyUser("checkout", "c4"));
  const later = await openEndpointRegistry({ bus, folder, clock: systemClock, log, ...judging }, self);
  await later.ready("payments");
  expect(later.endpoints("payments").map((one) => one.address)).toEqual(["127.0.0.1:9001"]);
  await state("127.0.0.1:9009", Date.now());
  await untilTrue(() => later.endpoints("payments").length === 2); // it is back
  await later.stop();
  const away = { ...bus, connected: false, subscribe: bus.subscribe.bind(bus), onStatus: () => () => {} } as Bus;
  const restarted = await openEndpointRegistry({ bus: away, folder, clock: systemClock, log, ...judging }, self);
  expect(restarted.endpoints("payments")).toHaveLength(2);
  pki.revoke(killed.serial);
  expect((await openRevoked(away, folder)).map((one) => one.address)).toEqual(["127.0.0.1:9001"]);
  await restarted.stop();
  await untilTrue(() => addresses().length === 2);
  revoked();
  expect(addresses()).toEqual(["127.0.0.1:9001"]);
});

/** What a view opened now knows from disk alone. */
async function openRevoked(
  bus: Bus,
  folder: Awaited<ReturnType<typeof openStateFolder>>,
): Promise<readonly Endpoint[]> {
  const opened = await openEndpointRegistry({ bus, folder, clock: systemClock, log, ...judging }, self);
  const known = opened.endpoints("payments");
  await opened.stop();
  return known;
}

test("a restart without NATS knows what was known, and losing NATS empties nothing", async () => {
  await view.stop();
  await reader.close();
  view = await open(reader);
  await view.ready("payments");
  expect(addresses()).toEqual(["127.0.0.1:9001"]);
  await view.stop();
  view = await open(await nats.connect(await nats.proxyUser("checkout", "c3")));
});

test("a proxy that leaves says so, and one that comes again is believed whatever its clock says", async () => {
  await view.ready("payments");
  await untilTrue(() => addresses().length === 1);
  await reporter.leave();
  await untilTrue(() => addresses().length === 0);
  reporter = createFleetReporter(
    {
      bus: writer,
      clock: { ...systemClock, nowMs: () => 1000 },
      log: silentLogger,
      identity,
      statements: writerOf(identity.current, { nowMs: () => 1000 }),
      policy,
      app,
      window,
    },
    { labels: [], bypassable: [], serves: true },
  );
  reporter.start("127.0.0.1:9002");
  await untilTrue(() => addresses()[0] === "127.0.0.1:9002");
});
