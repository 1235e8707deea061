/**
 * Somebody who may publish whatever he likes to NATS, and holds one proxy's certificate and key: what he says for
 * others does not exist for anybody.
 */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createDecisionReader } from "../../control-plane/decisions/decision-reader.js";
import { type FleetLoop, runFleetLoop } from "../../control-plane/fleet/fleet-loop.js";
import { FleetState } from "../../control-plane/fleet/fleet-state.js";
import { waitForFleet } from "../../control-plane/fleet/fleet-wait.js";
import { runRegistryLoop } from "../../control-plane/registry/registry-loop.js";
import { RegistryState } from "../../control-plane/registry/registry-state.js";
import { type DecisionRecord, noInputs, renderDecisionId } from "../../core/decision/decision-record.js";
import { buildSpiffeId } from "../../core/identity.js";
import type { Endpoint } from "../../core/model.js";
import { encodeBatch, encodeDecision } from "../../core/wire/decisions.js";
import { encodeEndpoint, encodeHeartbeat } from "../../core/wire/fleet.js";
import type { StatementKind } from "../../core/wire/statement.js";
import { decisionSubject, endpointStream, endpointSubject, heartbeatSubject } from "../../core/wire/subjects.js";
import type { ProxyIdentity } from "../../data-plane/ports.js";
import { type EndpointRegistry, openEndpointRegistry } from "../../data-plane/registry/endpoint-view.js";
import type { Bus, BusMessage } from "../../runtime/bus.js";
import { systemClock } from "../../runtime/clock.js";
import { silentLogger } from "../../runtime/log.js";
import type { StatementWriter } from "../../runtime/statement-writer.js";
import { MemoryFolder } from "../data-plane/sync/memory-folder.js";
import { buildHeartbeat } from "../support/fake-fleet.js";
import { startTestNats, type TestNats } from "../support/nats.js";
import { StatementPki, writerOf } from "../support/statements.js";
import { untilTrue } from "../support/until.js";

const pki = new StatementPki();
const honest = pki.issue("payments", "p1");
const thief = pki.issue("payments", "thief");
const reader = pki.reader();
const everything = { publish: [">"], subscribe: [">"] };
let nats: TestNats;
/** The connection of the thief, whom the broker forbids nothing. */
let bus: Bus;
let plane: Bus;
let fleet: FleetLoop;
let view: EndpointRegistry;
const registry = new RegistryState();
const state = new FleetState();
const stop = new AbortController();
const writers = new Map<string, StatementWriter>();

function sign(identity: ProxyIdentity, kind: StatementKind, bytes: Uint8Array) {
  const writer = writers.get(identity.serial) ?? writerOf(identity);
  writers.set(identity.serial, writer);
  return writer.sign(kind, bytes);
}

const endpointOf = (proxyId: string, address: string, parts: Partial<Endpoint> = {}): Endpoint => ({
  proxyId,
  service: "payments",
  instance: proxyId,
  version: "v1",
  address,
  labels: [],
  gone: false,
  timeMs: Date.now(),
  ...parts,
});

/** States an endpoint as `by`, in the name that it has. */
async function stateAs(by: ProxyIdentity | undefined, endpoint: Endpoint): Promise<void> {
  const bytes = encodeEndpoint(endpoint);
  const headers = by === undefined ? {} : sign(by, "endpoint", bytes);
  await bus.append(endpointSubject(endpoint.service, endpoint.proxyId), bytes, { headers });
}

function beat(by: ProxyIdentity | undefined, proxyId: string, leaving = false): void {
  const bytes = encodeHeartbeat(buildHeartbeat(proxyId, { timeMs: Date.now(), leaving }));
  bus.publish(heartbeatSubject("payments", proxyId), bytes, by === undefined ? {} : sign(by, "heartbeat", bytes));
}

const liveIds = (): string[] => fleet.live().map(({ heartbeat }) => heartbeat.proxyId);
const addresses = (): string[] => view.endpoints("payments").map(({ address }) => address);
/** What somebody new says arrives after everything that was sent before. */
async function settled(name: string): Promise<void> {
  const marker = pki.issue("payments", name);
  await untilTrue(async () => {
    await stateAs(marker, endpointOf(name, "127.0.0.1:2")); // again, as proxies do: what was forged may cost a second
    beat(marker, name);
    return liveIds().includes(name) && addresses().includes("127.0.0.1:2");
  });
  await stateAs(marker, endpointOf(name, "127.0.0.1:2", { gone: true, timeMs: Date.now() + 1 }));
  beat(marker, name, true);
  await untilTrue(() => !liveIds().includes(name) && !addresses().includes("127.0.0.1:2"));
}

beforeAll(async () => {
  nats = await startTestNats();
  bus = await nats.connect(await nats.user(everything, "_INBOX_thief"));
  plane = await nats.connect(await nats.controlPlaneUser());
  const deps = { clock: systemClock, log: silentLogger, reader };
  fleet = runFleetLoop({ ...deps, state, bus: plane });
  void runRegistryLoop({ ...deps, state: registry, bus: plane }, stop.signal);
  const trust = { onChange: () => () => {} };
  const caller = await nats.connect(await nats.proxyUser("checkout", "c1"));
  view = await openEndpointRegistry(
    { ...deps, reader: pki.reader(), bus: caller, folder: new MemoryFolder(), trust },
    { service: "checkout", proxyId: "c1" },
  );
  await view.ready("payments");
  await stateAs(honest, endpointOf("p1", "127.0.0.1:1"));
  beat(honest, "p1");
  await untilTrue(() => liveIds().length === 1 && addresses().length === 1);
}, 30_000);

afterAll(async () => {
  stop.abort();
  fleet?.close();
  await view?.stop();
  await nats?.stop();
}, 30_000);

describe("who may publish everything", () => {
  test("makes no proxy appear that has no issued identity, and nobody waits for one", async () => {
    const stranger = new StatementPki();
    for (let index = 0; index < 40; index++) {
      const id = `invented-${index}`;
      const by = [undefined, thief, stranger.issue("payments", id)][index % 3];
      beat(by, id);
      await stateAs(by, endpointOf(id, "127.0.0.1:666"));
    }
    beat(honest, "p1");
    await settled("m1");
    expect(liveIds()).toEqual(["p1"]);
    expect(addresses()).toEqual(["127.0.0.1:1"]);
    const services = registry.list(fleet.list(), new Set(), { revocationOf: () => undefined, nowMs: Date.now() });
    expect(services.flatMap(({ endpoints }) => endpoints.map(({ proxyId }) => proxyId))).toEqual(["p1"]);
    const waited = await waitForFleet(fleet, systemClock, { isThere: () => true, percent: 100, timeoutMs: 1 });
    expect(waited).toEqual({ outcome: "met", missing: [] });
  });

  test("takes nobody's endpoint away and moves none: unsigned, signed by himself, or in another service's name", async () => {
    const gone = endpointOf("p1", "127.0.0.1:1", { gone: true, timeMs: Date.now() + 1000 });
    for (const by of [undefined, thief, pki.issue("checkout", "p1")]) {
      await stateAs(by, gone);
      await stateAs(by, { ...gone, gone: false, address: "127.0.0.1:666" });
    }
    beat(honest, "p1");
    await settled("m2");
    expect(addresses()).toEqual(["127.0.0.1:1"]);
    expect(liveIds()).toEqual(["p1"]);
  });

  test("brings no old word back, to those who heard a later one and to those who read the stream", async () => {
    const old = await plane.directGet(endpointStream, { lastOf: endpointSubject("payments", "p1") });
    await stateAs(honest, endpointOf("p1", "127.0.0.1:1", { timeMs: Date.now() + 2000 }));
    const heard: BusMessage[] = [];
    const subscription = bus.subscribe(heartbeatSubject("payments", "p1"));
    await bus.flush();
    beat(honest, "p1");
    for await (const message of subscription) {
      heard.push(message);
      break;
    }
    subscription.close();
    beat(honest, "p1", true);
    await untilTrue(() => !liveIds().includes("p1"));
    const headers = { "Ashlar-Statement": heard[0]?.header("Ashlar-Statement") ?? "" };
    bus.publish(heartbeatSubject("payments", "p1"), heard[0]?.data ?? new Uint8Array(), headers);
    if (old !== undefined)
      await bus.append(old.subject, old.data, {
        headers: { "Ashlar-Statement": old.header("Ashlar-Statement") ?? "" },
      });
    await settled("m3");
    expect(liveIds()).toEqual([]);
    await untilTrue(() => {
      beat(honest, "p1"); // again and again, as proxies do: what was forged in its name may cost it a second
      return liveIds().includes("p1");
    });
    expect(addresses()).toEqual(["127.0.0.1:1"]);
  });

  test("adds no decision to another proxy's, and none twice", async () => {
    const decide = (index: number, by: ProxyIdentity | undefined, proxyId: string): Promise<number> => {
      const record: DecisionRecord = {
        id: renderDecisionId(Date.now(), 0, index),
        direction: "inbound",
        service: "payments",
        caller: buildSpiffeId("test.mesh", "service", "front"),
        method: "s.S/M",
        verdict: "denied",
        rule: "default-deny",
        revision: 1,
        epoch: 1,
        timeMs: Date.now(),
        inputs: noInputs,
        routing: undefined,
        version: "",
        limits: [],
        closed: false,
        shadow: false,
      };
      const about = { service: "payments", proxyId, share: 1, dropped: 0, counted: [] };
      const bytes = encodeBatch(about, [encodeDecision(record)]);
      const headers = by === undefined ? {} : sign(by, "decision", bytes);
      return bus.append(decisionSubject("payments", proxyId), bytes, { headers });
    };
    await decide(1, honest, "p1");
    const copied = await plane.directGet("ASHLAR_DECISIONS", { sequence: 1 });
    await decide(2, thief, "p1");
    await decide(3, undefined, "p1");
    await decide(4, thief, "invented");
    if (copied !== undefined)
      await bus.append(copied.subject, copied.data, {
        headers: { "Ashlar-Statement": copied.header("Ashlar-Statement") ?? "" },
      });
    const listed: string[] = [];
    const decisions = createDecisionReader({ bus: plane, log: silentLogger, reader });
    for await (const batch of decisions.list(0))
      for (const { id } of batch.decisions) listed.push(`${batch.proxyId} ${id}`);
    expect(listed).toHaveLength(1);
    expect(listed[0]).toMatch(/^p1 /);
  });

  test("disappears himself when he is revoked, for proxies and control planes, and is shown as revoked", async () => {
    await stateAs(thief, endpointOf("thief", "127.0.0.1:7"));
    beat(thief, "thief");
    await untilTrue(() => liveIds().includes("thief") && addresses().includes("127.0.0.1:7"));
    pki.revoke(thief.serial, "laptop stolen", Date.now() - 1);
    fleet.trustChanged();
    beat(thief, "thief");
    await stateAs(thief, endpointOf("thief", "127.0.0.1:8", { timeMs: Date.now() + 3000 }));
    beat(honest, "p1");
    await settled("m4");
    expect(liveIds()).toEqual(["p1"]);
    expect(addresses()).not.toContain("127.0.0.1:8");
    const entry = fleet.list().find(({ heartbeat }) => heartbeat.proxyId === "thief");
    expect([entry?.live, entry?.revoked?.reason]).toEqual([false, "laptop stolen"]);
  });
});
