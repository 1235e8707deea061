/** Only calls that a change is about are evidence; without it a stage holds and says what it lacks. */
import { describe, expect, test } from "@jest/globals";
import type { FleetEntry } from "../../../control-plane/fleet/fleet-state.js";
import { createAffectedReader } from "../../../control-plane/rollout/affected-reader.js";
import type { StageFacts } from "../../../control-plane/rollout/judge-stage.js";
import { growCohort, nobody } from "../../../control-plane/rollout/next-cohort.js";
import { nextStep } from "../../../control-plane/rollout/next-step.js";
import type { CallCounts, Heartbeat, MethodCounts, Revision, Signed } from "../../../core/model.js";
import type { AffectedCalls } from "../../../core/rollout/affected-calls.js";
import { isInCohort, revisionFor } from "../../../core/rollout/cohort.js";
import { gatesDefault } from "../../../core/rollout/gates.js";
import type { Cohort, Rollout, StageOfRollout } from "../../../core/rollout/rollout-model.js";
import { parseStages } from "../../../core/rollout/stages.js";
import { buildSnapshot } from "../../../core/snapshot/build.js";
import { parsePolicyFiles } from "../../../core/snapshot/parse-files.js";
import { activation, digest } from "../../data-plane/sync/records.js";
import { buildHeartbeat } from "../../support/fake-fleet.js";
import { testAuthor } from "../../support/records.js";

const ref = (number: number) => ({ number, digest: digest(`revision ${number}`) });
const plan: Rollout = {
  number: 1,
  previous: undefined,
  candidate: ref(2),
  base: ref(1),
  stages: parseStages("1,2,100%"),
  holdMs: 0,
  gates: gatesDefault,
  author: testAuthor,
  reason: "",
  timeMs: 0,
};
const chargeAt: AffectedCalls = {
  side: "destination",
  service: "payments",
  methods: ["shop.Payments/Charge"],
  callers: undefined,
  isNew: false,
};
const routeOf: AffectedCalls = { ...chargeAt, side: "caller", methods: ["*"], callers: ["checkout"] };

type Calls = Partial<MethodCounts> & { readonly calls: number };
const one = (parts: Calls): MethodCounts => ({
  outbound: false,
  service: "payments",
  method: "shop.Payments/Charge",
  refused: 0,
  failed: 0,
  took: [],
  ...parts,
});
function counted(...methods: readonly Calls[]): CallCounts {
  const sum = (of: (each: MethodCounts) => number): number => methods.map(one).reduce((all, each) => all + of(each), 0);
  return {
    calls: sum(({ calls }) => calls),
    refused: sum(({ refused }) => refused),
    failed: sum(({ failed }) => failed),
    took: [],
    methods: methods.map(one),
  };
}

/** What a driver sees at a stage with this cohort, of proxies "SERVICE-N". */
function look(
  proxyIds: readonly string[],
  calls: Readonly<Record<string, CallCounts>>,
  affected: readonly AffectedCalls[] | undefined,
  parts: Partial<StageOfRollout> = {},
): StageFacts {
  const cohort: Cohort = { basisPoints: 0, proxyIds: [...proxyIds].sort() };
  const rollout = { number: 1, digest: digest("plan"), stage: 1, base: ref(1), paused: false, cohort, ...parts };
  const { body, ...signed } = activation(2, activation(1, undefined, 1), 2);
  const head = { ...signed, body: { ...body, timeMs: 0, revisionNumber: 2, revisionDigest: ref(2).digest, rollout } };
  const entries = Object.entries(calls).map(([id, counts]): FleetEntry => {
    const { number, digest: evaluatingDigest } = revisionFor(head.body, id);
    const state: Partial<Heartbeat> = { evaluatingEpoch: 2, evaluatingRevision: number, evaluatingDigest };
    return {
      heartbeat: buildHeartbeat(id, { ...state, service: id.replace(/-\d+$/, ""), calls: counts }),
      lastSeenMs: 50_000,
      live: true,
      serial: undefined,
      revoked: undefined,
    };
  });
  return { plan, head, sinceMs: 0, entries, nowMs: 60_000, hearingSinceMs: 0, affected };
}

const waits = (facts: StageFacts): string => {
  const step = nextStep(facts);
  return step.kind === "wait" ? step.waitsFor.join(" | ") : step.kind;
};
const charge = counted({ calls: 100 });

describe("the stage that chose a proxy that the change does not touch", () => {
  const unrelated = counted({ calls: 227, service: "cart", method: "shop.Cart/Add" });
  const fleet = { "cart-1": unrelated, "payments-1": charge, "payments-2": charge };

  test("is no more: the proxy of the service that changes is chosen", () => {
    const facts = look([], fleet, [chargeAt]);
    const chosen = growCohort(nobody, { kind: "count", count: 1 }, digest("plan"), facts.entries, [chargeAt]).proxyIds;
    expect(chosen[0]).toMatch(/^payments-/);
  });

  test("and where an operator chooses it, its 227 calls are nothing: the stage holds and says so", () => {
    expect(waits(look(["cart-1"], fleet, [chargeAt]))).toBe(
      "samples: calls to payments (shop.Payments/Charge): no proxy that decides about them is in the cohort; `ashlar rollout advance` goes on without",
    );
  });

  test("and everybody who is denied where it is looked at rolls it back", () => {
    const denied = {
      ...fleet,
      "payments-1": counted({ calls: 40, refused: 40 }, { calls: 2000, method: "shop.Payments/Get" }),
    };
    const step = nextStep(look(["payments-1"], denied, [chargeAt]));
    expect(step).toMatchObject({
      kind: "roll-back",
      reason: expect.stringMatching(/payments: 40 of 40 calls refused \(100%\) under the candidate, against 0 of 100/),
    });
  });
});

describe("what is evidence", () => {
  test.each([
    ["other methods are not", counted({ calls: 500, method: "shop.Payments/Get" }), "0 of 20 judged by members"],
    [
      "calls that go out are not, of what is judged where it comes in",
      counted({ calls: 500, outbound: true }),
      "0 of 20 judged",
    ],
    ["too few are not", counted({ calls: 19 }), "19 of 20 judged by members, 100 of 20 to compare with"],
    [
      "totals of a version that does not tell methods are not",
      { ...charge, methods: undefined },
      "payments-1 does not tell its calls by method",
    ],
  ])("%s", (_name, counts, why) => {
    expect(waits(look(["payments-1"], { "payments-1": counts, "payments-2": charge }, [chargeAt]))).toContain(why);
  });

  test("calls of other callers are not, of a change that is about one", () => {
    const ofFront: AffectedCalls = { ...chargeAt, callers: ["front"] };
    const by = (front: number, cart: number) =>
      counted({ calls: front, caller: "front" }, { calls: cart, caller: "cart", refused: 0 });
    const fleet = (counts: CallCounts) => ({ "payments-1": counts, "payments-2": by(100, 100), "front-1": counted() });
    expect(waits(look(["payments-1"], fleet(by(0, 500)), [ofFront]))).toContain(
      "calls to payments from front (shop.Payments/Charge): 0 of 20 judged by members, 100 of 20 to compare with",
    );
    expect(nextStep(look(["payments-1"], fleet(by(100, 0)), [ofFront])).kind).toBe("advance");
    const denied = counted({ calls: 40, refused: 40, caller: "front" }, { calls: 5000, caller: "cart" });
    expect(nextStep(look(["payments-1"], fleet(denied), [ofFront]))).toMatchObject({
      kind: "roll-back",
      reason: expect.stringMatching(/payments: 40 of 40 calls refused/),
    });
    expect(waits(look(["payments-1"], fleet(charge), [ofFront]))).toContain(
      "payments-1 does not tell its calls by caller: it is of an earlier version",
    );
    const without = { "payments-1": by(0, 500), "payments-2": by(0, 500) };
    expect(nextStep(look(["payments-1"], without, [ofFront])).kind).toBe("advance"); // nobody lives who could show it
  });

  test("a route is judged by the calls of those who use it, whoever answered them", () => {
    const out = { outbound: true, method: "shop.Payments/Get" };
    const calls = {
      "checkout-1": counted({ ...out, calls: 50, failed: 40 }),
      "checkout-2": counted({ ...out, calls: 100 }),
      "payments-1": charge,
    };
    expect(nextStep(look(["checkout-1"], calls, [routeOf]))).toMatchObject({
      kind: "roll-back",
      reason: expect.stringMatching(/gate "failed".*checkout to payments: 40 of 50 calls failed/),
    });
    expect(waits(look(["payments-1"], calls, [routeOf]))).toContain(
      "calls of checkout to payments (*): no proxy that decides about them is in the cohort",
    );
  });

  test("every side of a change is looked at before everyone gets it", () => {
    const calls = { "payments-1": charge, "payments-2": charge, "checkout-1": counted({ calls: 5, outbound: true }) };
    expect(waits(look(["payments-1"], calls, [chargeAt, routeOf]))).toBe("advance");
    const last = { stage: 2 };
    expect(waits(look(["payments-1"], calls, [chargeAt, routeOf], last))).toContain(
      "calls of checkout to payments (*): no proxy",
    );
    expect(waits(look(["checkout-1", "payments-1"], calls, [chargeAt, routeOf], last))).toContain("5 of 20 judged");
  });
});

describe("what nobody can see holds nothing up", () => {
  const calls = { "payments-1": charge, "payments-2": charge };
  test.each([
    ["a change of no call's outcome", [], /no call fares differently under revision 2/],
    [
      "a service without a live proxy",
      [{ ...chargeAt, service: "orders" }],
      /calls to orders .*: no live proxy makes them or decides/,
    ],
    ["a service that is new", [{ ...chargeAt, isNew: true }], /the service is new/],
  ] as const)("%s", (_name, affected, text) => {
    const step = nextStep(look(["payments-1"], calls, affected));
    expect(step.kind).toBe("advance");
    expect(step.figures.find(({ gate }) => gate === "samples")?.text).toMatch(text);
  });

  test("but what is not known yet does", () => {
    expect(waits(look(["payments-1"], calls, undefined))).toContain("what revision 2 changes is not known yet");
  });
});

test("base and candidate are compared, and not the revisions in between, in either direction", async () => {
  const policies = ["payments", "cart"].map(
    (changed) =>
      `kind: Service\nname: payments\n---\nkind: Service\nname: cart\n---\nkind: Authorization\nname: x\nservice: ${changed}\nallow: [{ from: [cart] }]`,
  );
  const snapshots = [...policies, policies[0] ?? ""].map((content) =>
    buildSnapshot(parsePolicyFiles([{ name: "p", content }]).objects.map(({ object }) => object)),
  );
  const find = (number: number) => {
    const snapshot = snapshots[number - 1]?.list.digest;
    return snapshot && ({ body: { number, snapshot }, digest: ref(number).digest } as unknown as Signed<Revision>);
  };
  const byDigest = (wanted: string) => snapshots.find(({ list }) => list.digest === wanted);
  const reader = createAffectedReader({
    ledger: { revisions: { find } as never },
    snapshots: {
      loadList: async (wanted) => byDigest(wanted)?.list as never,
      loadUnit: async (wanted, name) => byDigest(wanted)?.units.find(({ unit }) => unit.name === name)?.unit,
    },
  });
  const names = async (base: number, candidate: number) =>
    (await reader.compare(ref(base), ref(candidate))).map(({ side, service }) => `${side} ${service}`);
  expect(await names(1, 3)).toEqual([]); // changed, and changed back
  expect(await names(1, 2)).toEqual(["destination cart", "destination payments"]);
  expect(await names(2, 1)).toEqual(["destination cart", "destination payments"]);
  expect(reader.find(ref(1), ref(3))).toEqual([]);
  expect(reader.find(ref(3), ref(1))).toBeUndefined();
  await expect(reader.compare(ref(1), ref(9))).rejects.toMatchObject({ code: "unavailable" });
  expect(isInCohort(nobody, digest("plan"), "p")).toBe(false);
});
