import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { historyStack, rollbackTarget } from "../../../core/activation.js";
import type { Activation } from "../../../core/model.js";
import { isInCohort, placeOf, revisionFor, revisionInForce, revisionsOf } from "../../../core/rollout/cohort.js";
import type { Cohort, StageOfRollout } from "../../../core/rollout/rollout-model.js";
import { activation, digest } from "../../data-plane/sync/records.js";
import { runs } from "../../support/runs.js";

const rollout = digest("a rollout");
const id = fc.stringMatching(/^[a-z0-9]{1,12}$/);
const ids = fc.uniqueArray(id, { maxLength: 20 }).map((list) => list.sort());
const cohort = fc.record({ basisPoints: fc.integer({ min: 0, max: 10_000 }), proxyIds: ids });

/** Epoch 2: revision 2 over revision 1. */
function stage(of: Cohort, parts: Partial<StageOfRollout> = {}): Activation {
  const { body } = activation(2, activation(1, undefined, 1), 2);
  const base = { number: 1, digest: digest("revision 1") };
  return { ...body, rollout: { number: 1, digest: rollout, stage: 1, base, cohort: of, paused: false, ...parts } };
}

test("a cohort only grows: whoever is in a stage is in every later one", () => {
  fc.assert(
    fc.property(cohort, cohort, id, (a, b, proxyId) => {
      const later = {
        basisPoints: Math.max(a.basisPoints, b.basisPoints),
        proxyIds: [...new Set([...a.proxyIds, ...b.proxyIds])].sort(),
      };
      if (isInCohort(a, rollout, proxyId)) expect(isInCohort(later, rollout, proxyId)).toBe(true);
    }),
    { numRuns: runs(2000) },
  );
});

test("nobody is in an empty cohort but those it names, and everybody in one of 100%", () => {
  fc.assert(
    fc.property(ids, id, (proxyIds, proxyId) => {
      expect(isInCohort({ basisPoints: 0, proxyIds }, rollout, proxyId)).toBe(proxyIds.includes(proxyId));
      expect(isInCohort({ basisPoints: 10_000, proxyIds: [] }, rollout, proxyId)).toBe(true);
    }),
  );
});

test.each([100, 1000, 5000, 9000])(
  "a cohort of %d hundredths of a percent has that share of proxies",
  (basisPoints) => {
    const count = 20_000;
    const share = basisPoints / 10_000;
    let members = 0;
    for (let n = 0; n < count; n += 1)
      if (isInCohort({ basisPoints, proxyIds: [] }, rollout, `proxy-${n}`)) members += 1;
    const deviation = Math.sqrt((share * (1 - share)) / count);
    expect(Math.abs(members / count - share)).toBeLessThan(4 * deviation);
  },
);

test("another rollout draws another cohort", () => {
  const places = Array.from({ length: 50 }, (_, n) => [placeOf(rollout, `p${n}`), placeOf(digest("another"), `p${n}`)]);
  expect(places.every(([a, b]) => a === b)).toBe(false);
  expect(placeOf(rollout, "p1")).toBe(placeOf(rollout, "p1"));
});

test("the cohort evaluates the candidate, everyone else the base, and the mesh's revision is the base until the end", () => {
  const some = stage({ basisPoints: 0, proxyIds: ["p1"] });
  expect([revisionFor(some, "p1").number, revisionFor(some, "p2").number]).toEqual([2, 1]);
  expect(revisionInForce(some).number).toBe(1);
  expect(revisionsOf(some).map((one) => one.number)).toEqual([1, 2]);
  const last = stage({ basisPoints: 10_000, proxyIds: [] });
  expect([revisionFor(last, "p2").number, revisionInForce(last).number]).toEqual([2, 2]);
  expect(revisionsOf(last).map((one) => one.number)).toEqual([2]);
});

test("a rollout that was rolled back leaves the history as it was; one that ended well is one step of it", () => {
  const first = { revisionNumber: 1, rollbackOf: undefined };
  const part = stage({ basisPoints: 0, proxyIds: ["p1"] });
  expect(rollbackTarget([first, part])).toEqual({ kind: "target", revision: 1, rollbackOf: 2 });
  expect(rollbackTarget([first, part], 2)).toEqual({ kind: "refused", why: "already_active" });
  const back = { revisionNumber: 1, rollbackOf: 2 };
  expect(historyStack([first, part, part, back])).toEqual([1]);
  expect(historyStack([first, part, { revisionNumber: 3, rollbackOf: undefined }])).toEqual([1, 3]);
  expect(historyStack([first, part, stage({ basisPoints: 10_000, proxyIds: [] })])).toEqual([1, 2]);
});
