/** What callers say of instances that they cannot connect to: seen by people, and nothing else goes by it. */
import { expect, test } from "@jest/globals";
import { FleetState } from "../../../control-plane/fleet/fleet-state.js";
import { ReachLog } from "../../../control-plane/fleet/reach-log.js";
import { RegistryState } from "../../../control-plane/registry/registry-state.js";
import type { Endpoint, Heartbeat } from "../../../core/model.js";
import { createLoggerTo } from "../../../runtime/log.js";
import { buildHeartbeat } from "../../support/fake-fleet.js";

const endpoint = (proxyId: string, parts: Partial<Endpoint> = {}): Endpoint => ({
  proxyId,
  service: "payments",
  instance: proxyId,
  version: "v1",
  address: "10.0.0.1:9000",
  labels: [],
  gone: false,
  timeMs: 10,
  ...parts,
});
const judge = { revocationOf: (): undefined => undefined, nowMs: 1 };
const why = "connect ECONNREFUSED";
const complaint = (proxyId: string, address = "10.0.0.1:9000") => ({ proxyId, address, why });

function meshOf(callers: Readonly<Record<string, Heartbeat["reach"]>>) {
  const state = new FleetState();
  const registry = new RegistryState();
  for (const id of ["a", "b"]) {
    registry.hear({ endpoint: endpoint(id), serial: `serial of ${id}`, endsMs: Number.POSITIVE_INFINITY });
    state.hear(buildHeartbeat(id), 0);
  }
  for (const [id, reach] of Object.entries(callers))
    state.hear(buildHeartbeat(id, { service: "shop", serving: false, reach }), 0);
  return { state, registry };
}

function seen(callers: Readonly<Record<string, Heartbeat["reach"]>>, nowMs = 1) {
  const { state, registry } = meshOf(callers);
  const fleet = state.list(nowMs);
  const [payments] = registry.list(fleet, new Set(["payments"]), { ...judge, nowMs });
  return {
    a: payments?.endpoints.find(({ proxyId }) => proxyId === "a"),
    b: payments?.endpoints.find(({ proxyId }) => proxyId === "b"),
    problems: registry.avoided(fleet, nowMs).map(({ code, message, subject }) => [code, message, subject]),
    routed: registry
      .served(fleet)
      .get("payments")
      ?.map(({ proxyId }) => proxyId),
  };
}

test("an instance that no caller can connect to is not healthy, with who says so, in services and status", () => {
  const said = "2 of 2 callers cannot connect to 10.0.0.1:9000: connect ECONNREFUSED; said by x (shop), y (shop)";
  const { a, b, problems, routed } = seen({
    x: { unreached: [complaint("a")], reached: ["b"] },
    y: { unreached: [complaint("a")], reached: ["b"] },
  });
  expect([a?.healthy, a?.why, b?.healthy, b?.why]).toEqual([false, said, true, ""]);
  const line = `instance a of payments: ${said}; is that what its --advertise should say?`;
  expect(problems).toEqual([["endpoint-out-of-reach", line, "a"]]);
  expect(routed).toEqual(["a", "b"]); // whether a route leads somewhere is not for callers to say
});

test("one of several callers alone makes nothing unhealthy, and is named", () => {
  const lie = { unreached: [complaint("a"), complaint("b")], reached: [] };
  const honest = { unreached: [], reached: ["a", "b"] };
  const { a, b, problems, routed } = seen({ liar: lie, x: honest });
  for (const one of [a, b]) {
    expect(one?.healthy).toBe(true);
    expect(one?.why).toContain("1 of 2 callers cannot connect to 10.0.0.1:9000");
    expect(one?.why).toContain("said by liar (shop)");
  }
  expect(problems).toHaveLength(2);
  expect(routed).toEqual(["a", "b"]);
});

test.each<[string, Heartbeat["reach"], number]>([
  ["an address that it does not state any more", { unreached: [complaint("a", "10.0.0.9:9000")], reached: [] }, 1],
  ["a proxy that nobody knows", { unreached: [complaint("nobody")], reached: ["nobody"] }, 1],
  ["what was said by a proxy that is not heard of any more", { unreached: [complaint("a")], reached: [] }, 20_000],
])("%s counts for nothing", (_what, reach, nowMs) => {
  const { a, problems } = seen({ x: reach }, nowMs);
  expect([a?.why.includes("cannot connect") ?? false, problems]).toEqual([false, []]);
});

test("an instance says nothing about itself, and cannot speak for others against what they say", () => {
  const { state, registry } = meshOf({ x: { unreached: [complaint("a")], reached: [] } });
  state.hear(buildHeartbeat("a", { reach: { unreached: [], reached: ["a"] } }), 0);
  const [payments] = registry.list(state.list(1), new Set(["payments"]), judge);
  expect(payments?.endpoints[0]?.why).toContain("1 of 1 callers");
});

test("hundreds of instances and callers are told in a few lines", () => {
  const state = new FleetState();
  const registry = new RegistryState();
  for (let at = 0; at < 160; at += 1) {
    registry.hear({ endpoint: endpoint(`p${at}`), serial: undefined, endsMs: Number.POSITIVE_INFINITY });
    state.hear(buildHeartbeat(`p${at}`), 0);
    const unreached = Array.from({ length: 16 }, (_, index) => complaint(`p${(at + index) % 160}`));
    state.hear(buildHeartbeat(`x${at}`, { service: "shop", reach: { unreached, reached: [] } }), 0);
  }
  const problems = registry.avoided(state.list(1), 1);
  expect(problems).toHaveLength(21);
  expect(problems[0]?.message).toContain("and 13 more");
  expect(problems[20]?.message).toBe("… and 140 instances more like the last");
});

test("the log says it once, and once that it is over; who says now this and now that fills no log", () => {
  const lines: { level: number; msg: string }[] = [];
  const log = createLoggerTo({ write: (line) => void lines.push(JSON.parse(line)) }, { level: "info", name: "t" });
  const told = new ReachLog(log);
  const problem = { code: "endpoint-out-of-reach", message: "instance a of payments: …", subject: "a" } as const;
  for (const nowMs of [0, 3000, 6000]) told.take([problem], nowMs);
  for (const nowMs of [9000, 12_000]) told.take([], nowMs);
  expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
    [40, "instance a of payments: …"],
    [30, "no caller says any more that it cannot connect to an instance"],
  ]);
  for (let turn = 0; turn < 1000; turn += 1) told.take(turn % 2 === 0 ? [problem] : [], 12_000);
  expect(lines.length).toBeLessThan(250);
});
