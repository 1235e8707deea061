import { expect, test } from "@jest/globals";
import { FleetState } from "../../../control-plane/fleet/fleet-state.js";
import { RegistryState } from "../../../control-plane/registry/registry-state.js";
import type { Endpoint } from "../../../core/model.js";
import { buildHeartbeat } from "../../support/fake-fleet.js";

const endpoint = (proxyId: string, parts: Partial<Endpoint> = {}): Endpoint => ({
  proxyId,
  service: "payments",
  instance: proxyId,
  version: "v1",
  address: "127.0.0.1:9000",
  labels: [],
  gone: false,
  timeMs: 10,
  ...parts,
});

function hear(registry: RegistryState, one: Endpoint, endsMs = Number.POSITIVE_INFINITY): void {
  registry.hear({ endpoint: one, serial: `serial of ${one.proxyId}`, endsMs });
}

const judge = { revocationOf: (): undefined => undefined, nowMs: 1 };

function fleetOf(...heartbeats: ReturnType<typeof buildHeartbeat>[]) {
  const state = new FleetState();
  for (const heartbeat of heartbeats) state.hear(heartbeat, 0);
  return state;
}

test("an instance is healthy while its proxy is live and its application registered", () => {
  const registry = new RegistryState();
  for (const id of ["a", "b", "c"]) hear(registry, endpoint(id));
  const fleet = fleetOf(buildHeartbeat("a"), buildHeartbeat("b", { serving: false }));
  const healthyAt = (nowMs: number) =>
    registry.list(fleet.list(nowMs), new Set(), judge)[0]?.endpoints.map(({ healthy, why }) => healthy || why);
  const [unheard, unregistered] = ["its proxy is not heard of", "no application is registered at its proxy"];
  expect(healthyAt(1)).toEqual([true, unregistered, unheard]);
  expect(healthyAt(20_000)).toEqual([unheard, unheard, unheard]);
});

test("services are those in policy, with endpoints or with proxies, sorted by name", () => {
  const registry = new RegistryState();
  hear(registry, endpoint("a"));
  const fleet = fleetOf(buildHeartbeat("x", { service: "cart" }));
  const services = registry.list(fleet.list(1), new Set(["payments", "audit"]), judge);
  expect(services.map(({ name, inPolicy, endpoints }) => [name, inPolicy, endpoints.length])).toEqual([
    ["audit", true, 0],
    ["cart", false, 0],
    ["payments", true, 1],
  ]);
});

test("a gateway with a process is in policy if its Gateway is, and one without a process is not listed", () => {
  const fleet = fleetOf(
    buildHeartbeat("x", { service: "gateway/public" }),
    buildHeartbeat("y", { service: "gateway/old" }),
  );
  const services = new RegistryState().list(fleet.list(1), new Set(["gateway/public", "gateway/new"]), judge);
  expect(services.map(({ name, inPolicy }) => [name, inPolicy])).toEqual([
    ["gateway/old", false],
    ["gateway/public", true],
  ]);
});

test("of two statements the later counts, in whatever order they come, and a tombstone removes", () => {
  const registry = new RegistryState();
  hear(registry, endpoint("a", { timeMs: 20, gone: true, address: "" }));
  hear(registry, endpoint("a", { timeMs: 10 }));
  expect(registry.list([], new Set(), judge)).toEqual([]);
  hear(registry, endpoint("a", { timeMs: 30 }));
  expect(registry.list([], new Set(), judge)[0]?.endpoints).toHaveLength(1);
});

test("who is revoked is not healthy and is shown with the reason; a lapsed identity is retired", () => {
  const registry = new RegistryState();
  for (const id of ["a", "b"]) hear(registry, endpoint(id));
  hear(registry, endpoint("lapsed"), 5000);
  const fleet = fleetOf(...["a", "b", "lapsed"].map((id) => buildHeartbeat(id)));
  const revocation = { serial: "serial of a", reason: "laptop stolen", timeMs: 1000 };
  const revocationOf = (serial: string) => (serial === revocation.serial ? revocation : undefined);
  const at = (nowMs: number) =>
    registry
      .list(fleet.list(nowMs), new Set(), { revocationOf, nowMs })[0]
      ?.endpoints.map(({ proxyId, healthy, why }) => [proxyId, healthy, why]);
  expect(at(5000)).toEqual([
    ["a", false, "its proxy's certificate was revoked 4 s ago (laptop stolen)"],
    ["b", true, ""],
    ["lapsed", true, ""],
  ]);
  expect(at(5001)?.map(([id]) => id)).toEqual(["a", "b"]);
});

test("versions come from endpoints and from proxies that serve nothing yet", () => {
  const registry = new RegistryState();
  hear(registry, endpoint("a"));
  const versions = registry.versions(fleetOf(buildHeartbeat("b", { version: "v2" })).list(1), 1);
  expect([...(versions.get("payments") ?? [])]).toEqual(["v1", "v2"]);
});

test("I8: endpoints are bounded, and tombstones make room first", () => {
  const registry = new RegistryState(3);
  hear(registry, endpoint("a"));
  hear(registry, endpoint("b", { gone: true, address: "" }));
  for (const id of ["c", "d"]) hear(registry, endpoint(id));
  const ids = registry.list([], new Set(), judge)[0]?.endpoints.map(({ proxyId }) => proxyId);
  expect(ids).toEqual(["a", "c", "d"]);
});

test("a version is served while an instance of it is live and its application registered", () => {
  const registry = new RegistryState();
  hear(registry, endpoint("a", { version: "v1" }));
  hear(registry, endpoint("b", { version: "v2" }));
  hear(registry, endpoint("c", { version: "v3", gone: true }));
  const fleet = fleetOf(buildHeartbeat("a"), buildHeartbeat("b", { serving: false }), buildHeartbeat("c"));
  expect(registry.served(fleet.list(1))).toEqual(new Map([["payments", [endpoint("a", { version: "v1" })]]]));
  expect(registry.served(fleet.list(20_000))).toEqual(new Map());
});

test("an instance whose application does not answer is a problem, and one that is gone or silent is none of these", () => {
  const registry = new RegistryState();
  hear(registry, endpoint("a", { unhealthy: "no answer to health checks for 7 s" }));
  hear(registry, endpoint("b"));
  hear(registry, endpoint("c", { unhealthy: "no answer", gone: true }));
  hear(registry, endpoint("d", { unhealthy: "no answer" }));
  const fleet = fleetOf(...["a", "b", "c"].map((id) => buildHeartbeat(id)));
  expect(registry.hung(fleet.list(1), 1)).toEqual([
    {
      code: "instance-unhealthy",
      subject: "a",
      message:
        "instance a of payments (v1) gets no calls: its proxy says of its application: no answer to health checks for 7 s",
    },
  ]);
});
