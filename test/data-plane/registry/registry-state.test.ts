import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { Endpoint } from "../../../core/model.js";
import {
  instancesMax,
  leaseMs,
  RegistryState,
  type StatedEndpoint,
} from "../../../data-plane/registry/registry-state.js";

const endsMs = 1_800_000_000_000;
const endpoint = (
  proxyId: string,
  timeMs: number,
  gone = false,
  parts: Partial<StatedEndpoint> = {},
  version = "v1",
): StatedEndpoint => ({
  endpoint: {
    proxyId,
    service: "payments",
    instance: proxyId,
    version,
    address: "127.0.0.1:1",
    labels: [],
    gone,
    timeMs,
  } satisfies Endpoint,
  serial: `serial of ${proxyId}`,
  endsMs,
  recent: true,
  ...parts,
});
const ids = (state: RegistryState): string[] => state.live.map((one) => one.proxyId);

describe("registry state", () => {
  test("of two statements the later counts, a tombstone like any other", () => {
    const state = new RegistryState();
    expect(state.takeEndpoint(endpoint("a", 5), 0)).toBe(true);
    expect(state.takeEndpoint(endpoint("a", 4, true), 0)).toBe(false);
    expect(ids(state)).toEqual(["a"]);
    state.takeEndpoint(endpoint("a", 6, true), 0);
    expect(ids(state)).toEqual([]);
    expect(state.takeEndpoint(endpoint("a", 6), 0)).toBe(false);
    state.takeEndpoint(endpoint("a", 7), 0);
    expect(ids(state)).toEqual(["a"]);
  });

  test("an instance lapses when its heartbeats do while others arrive, and is back with the next", () => {
    const state = new RegistryState();
    state.takeEndpoint(endpoint("a", 1), 0);
    state.takeEndpoint(endpoint("b", 1), 0);
    const nowMs = leaseMs + 1;
    state.takeHeartbeat("b", false, nowMs);
    expect(state.look(nowMs, nowMs)).toBe(true);
    expect(ids(state)).toEqual(["b"]);
    expect(state.takeHeartbeat("a", false, nowMs + 1)).toBe(true);
    expect(ids(state).sort()).toEqual(["a", "b"]);
  });

  test("when nobody is heard, nobody lapses", () => {
    const state = new RegistryState();
    state.takeEndpoint(endpoint("a", 1), 0);
    state.takeHeartbeat("a", false, 100);
    expect(state.look(1_000_000, 100)).toBe(false);
    expect(state.look(1_000_000, Number.NEGATIVE_INFINITY)).toBe(false);
    expect(ids(state)).toEqual(["a"]);
  });

  test("leases begin anew when NATS is back", () => {
    const state = new RegistryState();
    state.takeEndpoint(endpoint("a", 1), 0);
    state.renewLeases(1_000_000);
    expect(state.look(1_000_001, 1_000_001)).toBe(false);
  });

  test("a leaving heartbeat takes it out at once", () => {
    const state = new RegistryState();
    state.takeEndpoint(endpoint("a", 1), 0);
    expect(state.takeHeartbeat("a", true, 1)).toBe(true);
    expect(ids(state)).toEqual([]);
  });

  test("I8: it holds at most 10 000, and makes room only by what is gone", () => {
    const state = new RegistryState();
    state.takeEndpoint(endpoint("gone", 1, true), 0);
    for (let i = 1; i < instancesMax; i += 1) state.takeEndpoint(endpoint(`p${i}`, 1), 0);
    expect(state.live).toHaveLength(instancesMax - 1);
    expect(state.takeEndpoint(endpoint("last", 1), 0)).toBe(true);
    expect(state.takeEndpoint(endpoint("too-many", 1), 0)).toBe(false);
    expect(state.live).toHaveLength(instancesMax);
  });

  test("who was not heard of lately counts only where its version has nobody better, and is gone when nobody hears it", () => {
    const state = new RegistryState();
    state.takeEndpoint(endpoint("old", 1, false, { recent: false }), 0);
    expect(ids(state)).toEqual(["old"]);
    state.takeEndpoint(endpoint("new", 1), 0);
    state.takeEndpoint(endpoint("other", 1, false, { recent: false }, "v2"), 0);
    expect(ids(state)).toEqual(["new", "other"]);
    state.takeHeartbeat("old", false, 1);
    expect(ids(state)).toEqual(["old", "new", "other"]);
    state.takeHeartbeat("new", false, leaseMs + 2);
    state.look(leaseMs + 2, leaseMs + 2);
    expect(ids(state)).toEqual(["new"]);
  });

  test("an endpoint counts no longer than the certificate that stated it, and not when that is revoked", () => {
    const state = new RegistryState();
    for (const id of ["a", "b"]) state.takeEndpoint(endpoint(id, 1, false, id === "a" ? { endsMs: 500 } : {}), 0);
    for (const id of ["a", "b"]) state.takeHeartbeat(id, false, 1);
    expect(state.look(1, 1, 500)).toBe(false);
    expect(state.look(1, 1, 501)).toBe(true);
    expect(ids(state)).toEqual(["b"]);
    expect(state.drop((serial) => serial === "serial of b")).toBe(true);
    expect(ids(state)).toEqual([]);
  });

  test("silence says nothing of a proxy in whose name something was forged, for a lease", () => {
    const state = new RegistryState();
    for (const id of ["a", "b", "c"]) state.takeEndpoint(endpoint(id, 1), 0);
    const nowMs = leaseMs + 1;
    state.takeHeartbeat("c", false, nowMs);
    const forged = state.find("a");
    if (forged !== undefined) forged.refusedMs = 1;
    state.look(nowMs, nowMs);
    expect(ids(state)).toEqual(["a", "c"]);
    state.takeHeartbeat("c", false, nowMs + 1);
    state.look(nowMs + 1, nowMs + 1);
    expect(ids(state)).toEqual(["c"]);
  });

  test("any order of the same statements ends with the same instances", () => {
    const statement = fc.record({ id: fc.constantFrom("a", "b", "c"), timeMs: fc.nat(1000), gone: fc.boolean() });
    fc.assert(
      fc.property(
        fc.uniqueArray(statement, { selector: (one) => `${one.id} ${one.timeMs}`, maxLength: 30 }),
        fc.func(fc.integer()),
        (statements, key) => {
          const play = (list: typeof statements): string[] => {
            const state = new RegistryState();
            for (const { id, timeMs, gone } of list) state.takeEndpoint(endpoint(id, timeMs, gone), 0);
            return ids(state).sort();
          };
          const shuffled = [...statements].sort((a, b) => key(a.id, a.timeMs) - key(b.id, b.timeMs));
          expect(play(shuffled)).toEqual(play(statements));
        },
      ),
    );
  });
});
