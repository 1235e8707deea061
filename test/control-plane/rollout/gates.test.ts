import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { FleetEntry } from "../../../control-plane/fleet/fleet-state.js";
import type { StageFacts } from "../../../control-plane/rollout/judge-stage.js";
import { growCohort, nobody } from "../../../control-plane/rollout/next-cohort.js";
import { nextStep } from "../../../control-plane/rollout/next-step.js";
import { lowerShare, upperShare } from "../../../control-plane/rollout/share-bounds.js";
import type { StageHead } from "../../../control-plane/rollout/stage-evidence.js";
import type { CallCounts, Heartbeat } from "../../../core/model.js";
import type { AffectedCalls } from "../../../core/rollout/affected-calls.js";
import { isInCohort } from "../../../core/rollout/cohort.js";
import { gatesDefault } from "../../../core/rollout/gates.js";
import type { Rollout, RolloutGates, StageOfRollout } from "../../../core/rollout/rollout-model.js";
import { parseStages } from "../../../core/rollout/stages.js";
import { activation, digest } from "../../data-plane/sync/records.js";
import { everyCall, inbound } from "../../support/affected.js";
import { buildHeartbeat } from "../../support/fake-fleet.js";
import { testAuthor } from "../../support/records.js";

const ref = (number: number) => ({ number, digest: digest(`revision ${number}`) });
const plan: Rollout = {
  number: 1,
  previous: undefined,
  candidate: ref(2),
  base: ref(1),
  stages: parseStages("1,50%,100%"),
  holdMs: 30_000,
  gates: gatesDefault,
  author: testAuthor,
  reason: "",
  timeMs: 0,
};
const stage: StageOfRollout = {
  number: 1,
  digest: digest("plan"),
  stage: 1,
  base: ref(1),
  paused: false,
  cohort: { basisPoints: 0, proxyIds: ["p1"] },
};
const began = 1000;
const affected = [everyCall];

function headAt(parts: Partial<StageOfRollout> = {}): StageHead {
  const { body, ...signed } = activation(2, activation(1, undefined, 1), 2);
  return { ...signed, body: { ...body, timeMs: began, rollout: { ...stage, ...parts } } };
}

function counts(calls: number, refused = 0, failed = 0, took: readonly number[] = []): CallCounts {
  return inbound({ calls, refused, failed, took });
}

/** A live proxy that evaluates what epoch 2 says for it. */
function proxy(id: string, calls: CallCounts, parts: Partial<Heartbeat> = {}, lastSeenMs = 60_000): FleetEntry {
  const revision = isInCohort(stage.cohort, stage.digest, id) ? ref(2) : ref(1);
  const state = { evaluatingEpoch: 2, evaluatingRevision: revision.number, evaluatingDigest: revision.digest };
  return {
    heartbeat: buildHeartbeat(id, { ...state, calls, ...parts }),
    lastSeenMs,
    live: true,
    serial: undefined,
    revoked: undefined,
  };
}

function facts(entries: readonly FleetEntry[], parts: Partial<StageFacts> = {}): StageFacts {
  return {
    plan,
    head: headAt(),
    sinceMs: began,
    entries,
    nowMs: began + 60_000,
    hearingSinceMs: 0,
    affected,
    ...parts,
  };
}

const withGates = (gates: Partial<RolloutGates>): Partial<StageFacts> => ({
  plan: { ...plan, gates: { ...gatesDefault, ...gates } },
});
/** Three proxies beside the cohort, each with 100 calls of which `refused` were refused. */
const others = (refused = 0, failed = 0): FleetEntry[] =>
  ["p2", "p3", "p4"].map((id) => proxy(id, counts(100, refused, failed)));

describe("a stage", () => {
  test("goes on when its hold is over and its gates pass", () => {
    const step = nextStep(facts([proxy("p1", counts(100)), ...others()]));
    expect(step).toMatchObject({
      kind: "advance",
      stage: { stage: 2, cohort: { basisPoints: 5000, proxyIds: ["p1"] } },
    });
  });

  test("waits for its hold to end", () => {
    const step = nextStep(facts([proxy("p1", counts(100)), ...others()], { nowMs: began + 29_999 }));
    expect(step).toMatchObject({ kind: "wait", waitsFor: ["the hold of 30 s to end"] });
  });

  test("holds as long as it says itself, and the others as the plan says", () => {
    const own = { plan: { ...plan, stages: parseStages("1:5s,50%,100%") } };
    const entries = [proxy("p1", counts(100)), ...others()];
    expect(nextStep(facts(entries, { ...own, nowMs: began + 5000, hearingSinceMs: -60_000 })).kind).toBe("advance");
    expect(nextStep(facts(entries, { ...own, nowMs: began + 4999, hearingSinceMs: -60_000 }))).toMatchObject({
      kind: "wait",
      waitsFor: ["the hold of 5 s to end"],
    });
    const second = { ...own, head: headAt({ stage: 2 }), nowMs: began + 29_999 };
    expect(nextStep(facts(entries, second))).toMatchObject({ waitsFor: ["the hold of 30 s to end"] });
  });

  test("waits while it is paused, whatever its gates say", () => {
    const step = nextStep(facts([proxy("p1", counts(100)), ...others()], { head: headAt({ paused: true }) }));
    expect(step).toMatchObject({ kind: "wait", waitsFor: ["somebody to resume it"] });
  });

  test.each([
    [
      "too few calls in the cohort",
      [proxy("p1", counts(19)), ...others()],
      /samples: calls to every service \(\*\): 19 of 20/,
    ],
    [
      "nothing to compare with",
      [proxy("p1", counts(100))],
      /samples: .*100 of 20 judged by members, 0 of 20 to compare/,
    ],
    ["nobody in the cohort", others(), /members: 0 members evaluate/],
    [
      "a member that switches yet",
      [proxy("p1", counts(100), { evaluatingEpoch: 1 }, 20_000), ...others()],
      /1 still switch/,
    ],
    [
      "a member that went silent in this stage",
      [{ ...proxy("p1", counts(100)), live: false, lastSeenMs: began + 5 }, ...others()],
      /1 went silent: p1/,
    ],
    [
      "counts of the epoch before",
      [proxy("p1", counts(500), { evaluatingEpoch: 1 }, 20_000), ...others()],
      /samples: .*no proxy that decides about them is in the cohort/,
    ],
  ])("holds for want of evidence: %s", (_name, entries, why) => {
    const step = nextStep(facts(entries));
    expect(step.kind).toBe("wait");
    expect(step.kind === "wait" ? step.waitsFor.join(" | ") : "").toMatch(why);
  });

  test("holds while this control plane has only begun to hear the fleet", () => {
    const step = nextStep(facts([proxy("p1", counts(100)), ...others()], { hearingSinceMs: began + 55_000 }));
    expect(step).toMatchObject({ kind: "wait", waitsFor: [expect.stringContaining("begun to hear the fleet")] });
  });

  test("holds until as many members evaluate it as are asked for", () => {
    const step = nextStep(facts([proxy("p1", counts(100)), ...others()], withGates({ members: 2 })));
    expect(step).toMatchObject({
      kind: "wait",
      waitsFor: [expect.stringMatching(/members: 1 .* at least 2 are asked/)],
    });
  });

  test("with samples=0 a quiet mesh goes on", () => {
    expect(nextStep(facts([proxy("p1", counts(0)), ...others()], withGates({ samples: 0 }))).kind).toBe("advance");
  });

  test("that follows the last but one is for everyone, and names nobody", () => {
    const step = nextStep(facts([proxy("p1", counts(100)), ...others()], { head: headAt({ stage: 2 }) }));
    expect(step).toMatchObject({ kind: "advance", stage: { stage: 3, cohort: { basisPoints: 10_000, proxyIds: [] } } });
  });
});

describe("a gate that fails rolls back at once, hold or no hold, and says why", () => {
  const slow = [0, 0, 0, 90, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0];
  const quick = [0, 0, 0, 300, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

  test.each([
    [
      "refused",
      proxy("p1", counts(40, 40)),
      others(),
      /"refused" at stage 1 of 3: payments: 40 of 40 calls refused \(100%\)/,
    ],
    ["refused, few calls", proxy("p1", counts(6, 6)), others(), /6 of 6 calls refused/],
    ["refused, a part", proxy("p1", counts(200, 40)), others(2), /40 of 200 calls refused \(20%\).*against 6 of 300/],
    ["failed", proxy("p1", counts(100, 0, 30)), others(), /"failed".*30 of 100 calls failed/],
    [
      "latency",
      proxy("p1", counts(100, 0, 0, slow)),
      [proxy("p2", counts(300, 0, 0, quick))],
      /"latency".*10 of 100 calls took longer than 50 ms, the base's slowest hundredth 10 ms/,
    ],
    [
      "rejections",
      proxy("p1", counts(0), { rejected: { ...ref(2), reason: "bad unit" }, evaluatingEpoch: 1 }),
      others(),
      /"rejections".*rejected by p1 \(payments\): bad unit/,
    ],
    [
      "lag",
      proxy("p1", counts(0), { evaluatingEpoch: 1 }),
      others(),
      /"lag".*p1 \(payments\) did not switch within 30000 ms/,
    ],
  ])("%s", (_name, member, beside, why) => {
    for (const head of [headAt(), headAt({ paused: true })]) {
      const step = nextStep(facts([member, ...beside], { head, nowMs: began + 1000 }));
      expect(step.kind).toBe("roll-back");
      expect(step.kind === "roll-back" ? step.reason : "").toMatch(why);
    }
  });

  test.each([
    ["what is refused everywhere alike", proxy("p1", counts(100, 30)), others(30)],
    ["four refusals", proxy("p1", counts(4, 4)), others()],
    ["a percent more", proxy("p1", counts(200, 4)), others(1)],
    [
      "another service's refusals",
      proxy("p1", counts(100, 40), { service: "cart", callsBefore: counts(100, 42) }),
      others(),
    ],
    ["refusals without anything to compare with", proxy("p1", counts(100, 50)), []],
    ["a switch that only takes its time", proxy("p1", counts(0), { evaluatingEpoch: 1 }, began + 20_000), others()],
  ])("does not fail for %s", (_name, member, beside) => {
    expect(nextStep(facts([member, ...beside])).kind).not.toBe("roll-back");
  });

  test("gates that are off say nothing", () => {
    const off = { refused: undefined, failed: undefined, latency: undefined, lagMs: 0, rejections: false };
    const bad = proxy("p1", counts(100, 50, 50), { rejected: { ...ref(2), reason: "bad" } });
    const step = nextStep(facts([bad, ...others()], withGates(off)));
    expect(step.figures.map(({ gate }) => gate)).toEqual(["members", "samples"]);
  });

  test("refusals that are expected are no failure", () => {
    const entries = [proxy("p1", counts(100, 50)), ...others()];
    expect(nextStep(facts(entries)).kind).toBe("roll-back");
    const predicted = withGates({ predicted: true });
    expect(nextStep(facts(entries, { ...predicted, predictedRefused: () => 0.5 })).kind).toBe("advance");
  });

  test("refusals beyond what is expected are one, and the reason says what was", () => {
    const entries = [proxy("p1", counts(200, 100)), ...others()];
    const step = nextStep(facts(entries, { ...withGates({ predicted: true }), predictedRefused: () => 0.2 }));
    expect(step).toMatchObject({ kind: "roll-back", reason: expect.stringMatching(/100 of 200.*20% predicted/) });
  });

  test("a prediction that nobody asked for, or that nothing tells, changes nothing", () => {
    const entries = [proxy("p1", counts(100, 50)), ...others()];
    expect(nextStep(facts(entries, { predictedRefused: () => 0.5 })).kind).toBe("roll-back");
    const asked = { ...withGates({ predicted: true }), predictedRefused: () => undefined };
    expect(nextStep(facts(entries, asked)).kind).toBe("roll-back");
    const quiet = nextStep(facts([proxy("p1", counts(100)), ...others()], asked));
    expect(quiet).toMatchObject({ kind: "advance" });
    expect(quiet.figures.find(({ gate }) => gate === "refused")?.text).toMatch(/payments: no prediction/);
  });
});

describe("the next cohort", () => {
  const ids = fc.uniqueArray(fc.stringMatching(/^[a-z0-9]{1,8}$/), { maxLength: 30 });
  const stages = fc.constantFrom(
    "1,5,100%",
    "10%,50%,100%",
    "label:canary=true,2,10%,100%",
    "3,label:canary=true,100%",
  );

  test("loses nobody, is whole where it can be, and is never one of nobody while somebody lives", () => {
    fc.assert(
      fc.property(stages, fc.array(ids, { minLength: 4, maxLength: 4 }), (text, fleets) => {
        let cohort = nobody;
        for (const [index, each] of parseStages(text).entries()) {
          const names = fleets[index] ?? [];
          const live = names.map((id, at) =>
            proxy(id, counts(0), { labels: at % 3 === 0 ? [{ key: "canary", value: "true" }] : [] }),
          );
          const grown = growCohort(cohort, each, stage.digest, live);
          const isIn = (id: string): boolean => isInCohort(grown, stage.digest, id);
          for (const id of fleets.flat()) if (isInCohort(cohort, stage.digest, id)) expect(isIn(id)).toBe(true);
          const members = names.filter(isIn).length;
          if (each.kind === "count") expect(members).toBeGreaterThanOrEqual(Math.min(each.count, names.length));
          if (each.kind === "percent" && names.length > 0) expect(members).toBeGreaterThan(0);
          if (each.kind === "label")
            for (const id of names.filter((_, at) => at % 3 === 0)) expect(isIn(id)).toBe(true);
          cohort = grown;
        }
        expect(cohort).toEqual({ basisPoints: 10_000, proxyIds: [] });
      }),
    );
  });

  test("a number takes proxies of services that the candidate changes first, then others", () => {
    const live = Array.from({ length: 20 }, (_, at) =>
      proxy(`p${at}`, counts(0), { service: at < 17 ? "front" : "echo" }),
    );
    const grow = (count: number, ...about: readonly AffectedCalls[]) =>
      growCohort(nobody, { kind: "count", count }, stage.digest, live, about).proxyIds;
    const toEcho = { ...everyCall, service: "echo" };
    expect(["p17", "p18", "p19"]).toContain(grow(1, toEcho)[0]);
    expect(grow(3, toEcho)).toEqual(["p17", "p18", "p19"]);
    expect(grow(5, toEcho)).toHaveLength(5);
    const ofFront: AffectedCalls = { ...toEcho, side: "caller", callers: ["front"] };
    expect(grow(1, ofFront)[0]).not.toMatch(/p1[789]/);
    expect(grow(2, toEcho, ofFront).filter((id) => /p1[789]/.test(id))).toHaveLength(1); // one of each side
  });

  test("a share takes in one proxy of each side of the change that it would leave out", () => {
    const live = Array.from({ length: 20 }, (_, at) =>
      proxy(`p${at}`, counts(0), { service: at < 19 ? "front" : "echo" }),
    );
    const share = { kind: "percent", basisPoints: 1 } as const;
    const about = { ...everyCall, service: "echo" };
    expect(growCohort(nobody, share, stage.digest, live, [about]).proxyIds).toEqual(["p19"]);
  });

  test("names a thousand at most", () => {
    const live = Array.from({ length: 1500 }, (_, at) =>
      proxy(`p${at}`, counts(0), { labels: [{ key: "a", value: "b" }] }),
    );
    const grown = growCohort(nobody, { kind: "label", key: "a", value: "b" }, stage.digest, live);
    expect(grown.proxyIds).toHaveLength(1000);
  });
});

test("the bounds of a share hold it, and close in on it with more samples", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000 }), fc.float({ min: 0, max: 1, noNaN: true }), (samples, share) => {
      const hits = Math.round(samples * share);
      expect(lowerShare(hits, samples)).toBeLessThanOrEqual(hits / samples + 1e-9);
      expect(upperShare(hits, samples)).toBeGreaterThanOrEqual(hits / samples - 1e-9);
      const width = (n: number): number => upperShare(hits * n, samples * n) - lowerShare(hits * n, samples * n);
      expect(width(10)).toBeLessThan(width(1));
    }),
  );
  expect([lowerShare(0, 0), upperShare(0, 0)]).toEqual([0, 1]);
});
