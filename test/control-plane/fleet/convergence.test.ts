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
      done: "prepared",
      slow: "prepared",
      deaf: "prepared",
      empty: "not-prepared",
      strict: "rejected",
      silent: "silent",
    });
  });
});

describe("while a rollout runs", () => {
  const rollout = {
    number: 1,
    digest: digestOf(Buffer.from("plan")),
    stage: 1,
    base: { number: 6, digest: before },
    cohort: { basisPoints: 0, proxyIds: ["in", "in-deaf", "in-late", "in-strict"] },
    paused: false,
  };
  const running = { ...head, rollout };
  const at = (digest: typeof before, revision: number) => ({
    seenEpoch: 9,
    evaluatingEpoch: 9,
    evaluatingDigest: digest,
    evaluatingRevision: revision,
  });
  const found = (number: number, of: typeof digest) => {
    const fleet = new FleetState();
    fleet.hear(buildHeartbeat("in", at(digest, 7)), nowMs);
    fleet.hear(buildHeartbeat("in-deaf", { ...old, prepared: holding }), nowMs);
    fleet.hear(buildHeartbeat("in-late", { ...old, seenEpoch: 9, freshnessAgeMs: 2000 }), nowMs);
    fleet.hear(
      buildHeartbeat("in-strict", { ...old, seenEpoch: 9, rejected: { number: 7, digest, reason: "no" } }),
      nowMs,
    );
    fleet.hear(buildHeartbeat("out", at(before, 6)), nowMs);
    fleet.hear(
      buildHeartbeat("out-strict", { ...at(before, 6), rejected: { number: 7, digest, reason: "no" } }),
      nowMs,
    );
    fleet.hear(buildHeartbeat("out-wrong", { ...at(digest, 7), prepared: [{ number: 6, digest: before }] }), nowMs);
    return judgeConvergence(fleet.list(nowMs), [], { number, digest: of, head: running }, nowMs).map(
      ({ id, state, reason, active }) => [id, state, active, reason],
    );
  };
  const behind = [
    ["in-deaf", "not-seen", false, expect.stringMatching(/has seen epoch 8, not 9/)],
    ["in-late", "not-prepared", false, expect.stringMatching(/does not hold revision 7 yet \(holds none\)/)],
    ["in-strict", "rejected", false, "no"],
  ];
  const wrong = ["out-wrong", "not-evaluating", false, "has seen epoch 9 and still evaluates epoch 9"];
  const own = (number: number) => `evaluates revision ${number}, as the rollout that runs has it`;

  test("a proxy is compared with what the head says for it: those beside the cohort are not behind", () => {
    expect(found(6, before)).toEqual([
      ["in", "converged", true, `${own(7)}; does not hold revision 6`],
      ...behind,
      ["out", "converged", true, ""],
      ["out-strict", "converged", true, ""],
      wrong,
    ]);
  });

  test("asked about the candidate, it says too who beside the cohort could not go on with it", () => {
    expect(found(7, digest)).toEqual([
      ["in", "converged", true, ""],
      ...behind,
      ["out", "converged", true, `${own(6)}; does not hold revision 7`],
      ["out-strict", "converged", true, `${own(6)}; refused revision 7: no`],
      wrong,
    ]);
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
