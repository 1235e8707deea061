import { describe, expect, test } from "@jest/globals";
import { judgeConvergence } from "../../../control-plane/fleet/convergence.js";
import { ExpectedProxies } from "../../../control-plane/fleet/expected-proxies.js";
import { FleetState } from "../../../control-plane/fleet/fleet-state.js";
import { digestOf } from "../../../core/digest.js";
import { buildHeartbeat } from "../../support/fake-fleet.js";

const digest = digestOf(Buffer.from("revision 7"));
const before = digestOf(Buffer.from("revision 6"));
const head = { epoch: 9, revisionNumber: 7, revisionDigest: digest };
const target = { number: 7, digest, head };
const nowMs = 1_700_000_000_000;
const holding = [{ number: 7, digest }];
const old = { seenEpoch: 8, evaluatingEpoch: 8, evaluatingRevision: 6, evaluatingDigest: before };

const states = (against = target, missing: Parameters<typeof judgeConvergence>[1] = [], atMs = nowMs) => {
  const fleet = new FleetState();
  fleet.hear(buildHeartbeat("silent", old), nowMs - 30_000);
  fleet.hear(buildHeartbeat("done", { seenEpoch: 9, evaluatingEpoch: 9, evaluatingDigest: digest }), nowMs);
  fleet.hear(buildHeartbeat("slow", { ...old, seenEpoch: 9, prepared: holding }), nowMs);
  fleet.hear(buildHeartbeat("deaf", { ...old, prepared: holding, freshnessAgeMs: 45_000 }), nowMs);
  fleet.hear(buildHeartbeat("empty", { ...old, freshnessAgeMs: Number.MAX_SAFE_INTEGER }), nowMs);
  fleet.hear(buildHeartbeat("strict", { ...old, rejected: { number: 7, digest, reason: "unknown field 9" } }), nowMs);
  return judgeConvergence(fleet.list(nowMs), missing, against, atMs);
};

describe("the convergence ledger", () => {
  test("says of each proxy how far it is and why no further, by what it evaluates (I7)", () => {
    const found = states(target, [{ proxyId: "ghost", service: "cart", version: "v1", sinceMs: nowMs - 60_000 }]);
    expect(found.map(({ id, state, reason }) => [id, state, reason])).toEqual([
      ["ghost", "unknown", "got an identity 1 min ago and was never heard of"],
      ["deaf", "not-seen", "has seen epoch 8, not 9; last news of the logs 45 s ago"],
      ["done", "converged", ""],
      [
        "empty",
        "not-prepared",
        "does not hold revision 7 yet (holds none); it has heard no statement about the heads of the logs",
      ],
      ["silent", "silent", "last heard of 30 s ago, evaluating revision 6; it did not leave"],
      ["slow", "not-evaluating", "has seen epoch 9 and still evaluates epoch 8"],
      ["strict", "rejected", "unknown field 9"],
    ]);
    expect(found.filter(({ active }) => active).map(({ id }) => id)).toEqual(["done"]);
  });

  test("of a revision that is not active asks only who has prepared it", () => {
    const found = states({ ...target, head: { epoch: 8, revisionNumber: 6, revisionDigest: before } });
    const byState = Object.fromEntries(found.map(({ id, state }) => [id, state]));
    expect(byState).toEqual({
      ...{ done: "prepared", slow: "prepared", deaf: "prepared" },
      ...{ empty: "not-prepared", strict: "rejected", silent: "silent" },
    });
  });
});

describe("proxies that were never heard of", () => {
  test("are missing after a grace, until they are heard of or their certificate has ended", () => {
    const expected = new ExpectedProxies({ graceMs: 10, forgetMs: 1000, proxiesMax: 3 });
    const expect1 = (proxyId: string, sinceMs: number) =>
      expected.expect({ proxyId, service: "cart", version: "v1", sinceMs });
    const ids = (atMs: number) => expected.missing(atMs).map(({ proxyId }) => proxyId);
    expect1("a", 0);
    expect1("b", 5);
    expect(ids(9)).toEqual([]);
    expect(ids(10)).toEqual(["a"]);
    expected.heard("a");
    expect(ids(20)).toEqual(["b"]);
    expect1("b", 900); // renewed, still unheard of
    expect(ids(1006)).toEqual(["b"]);
    expect(ids(1901)).toEqual([]);
  });

  test("are at most so many: the oldest is forgotten (I8)", () => {
    const expected = new ExpectedProxies({ graceMs: 0, forgetMs: 1000, proxiesMax: 2 });
    for (const [index, proxyId] of ["a", "b", "c"].entries())
      expected.expect({ proxyId, service: "cart", version: "v1", sinceMs: index });
    expect(expected.missing(3).map(({ proxyId }) => proxyId)).toEqual(["b", "c"]);
  });
});
