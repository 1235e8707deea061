import { expect, test } from "@jest/globals";
import { digestOf } from "../../../core/digest.js";
import type { ShadowCounts } from "../../../core/shadow/shadow-model.js";
import type { EvaluatedPolicy } from "../../../data-plane/ports.js";
import { CrewTally, isTally } from "../../../data-plane/workers/crew-tally.js";

const digest = digestOf(Buffer.from("candidate"));
const candidate = { epoch: 4, revisionDigest: digest } as EvaluatedPolicy;
const counts = (wouldDeny: number, change: Partial<ShadowCounts> = {}): ShadowCounts => ({
  epoch: 4,
  digest,
  same: 10,
  wouldDeny,
  wouldAllow: 1,
  errors: 0,
  flips: [{ caller: "spiffe://test/service/a", method: "a.B/C", wouldDeny, wouldAllow: 1 }],
  ...change,
});

test("nothing is said until every worker that carries calls has said that it asks this candidate (I7)", () => {
  const tally = new CrewTally(() => [0, 1]);
  tally.take(0, counts(2));
  expect(tally.read(candidate)).toBeUndefined();
  tally.take(1, counts(3, { epoch: 3 }));
  expect(tally.read(candidate)).toBeUndefined();
  tally.take(1, undefined);
  expect(tally.read(candidate)).toBeUndefined();
  tally.take(1, counts(3));
  expect(tally.read(candidate)).toEqual({
    ...counts(5),
    same: 20,
    wouldAllow: 2,
    flips: [expect.objectContaining({ wouldDeny: 5, wouldAllow: 2 })],
  });
});

test("what a worker counted that has ended stays counted, of this order only", () => {
  let serving = [0, 1];
  const tally = new CrewTally(() => serving);
  tally.take(0, counts(2));
  tally.take(1, counts(3));
  tally.gone(1);
  serving = [0];
  expect(tally.read(candidate)?.wouldDeny).toBe(5);
  tally.take(0, counts(0, { epoch: 5 }));
  expect(tally.read({ ...candidate, epoch: 5 })?.wouldDeny).toBe(0);
  tally.gone(0);
  serving = [];
  expect(tally.read(candidate)).toBeUndefined();
});

test("the most frequent pairs are named, twenty at most", () => {
  const tally = new CrewTally(() => [0, 1]);
  for (const worker of [0, 1]) {
    const flips = Array.from({ length: 20 }, (_, place) => ({
      caller: `c${worker}`,
      method: `a.B/M${place}`,
      wouldDeny: place,
      wouldAllow: 0,
    }));
    tally.take(worker, counts(190, { flips }));
  }
  const flips = tally.read(candidate)?.flips ?? [];
  expect(flips).toHaveLength(20);
  expect(flips[0]?.wouldDeny).toBe(19);
  expect(Math.min(...flips.map(({ wouldDeny }) => wouldDeny))).toBe(10);
});

test("what no worker counts is refused", () => {
  expect(isTally(counts(1))).toBe(true);
  const flip = { caller: "c", method: "m", wouldDeny: 1, wouldAllow: 0 };
  for (const value of [
    undefined,
    null,
    [],
    { ...counts(1), same: -1 },
    { ...counts(1), wouldDeny: Number.NaN },
    { ...counts(1), digest: 7 },
    { ...counts(1), flips: Array(21).fill(flip) },
    { ...counts(1), flips: [{ ...flip, caller: "x".repeat(3000) }] },
    { ...counts(1), flips: [{ ...flip, wouldAllow: 0.5 }] },
  ])
    expect(isTally(value)).toBe(false);
});
