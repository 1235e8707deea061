/** The shares of a split come to its weights within a point, over 100,000 drawn calls and 100,000 distinct keys. */
import { expect, test } from "@jest/globals";
import { chooseAmong } from "../../../core/route/choose-target.js";
import { drawsOf } from "../../support/seeded-draws.js";

const count = 100_000;
const endpoints = ["v1", "v2"].map((version) => ({ version, labels: [] }));

function sidesOf(weight: number, keyOf: (index: number) => string | undefined): readonly boolean[] {
  const split = [
    { version: "v1", weight: 100 - weight },
    { version: "v2", weight },
  ];
  const rule = { split, targets: ["v1", "v2"], failsWhenEmpty: false };
  const draw = drawsOf(weight);
  return Array.from({ length: count }, (_, index) => {
    const choice = chooseAmong(rule, { service: "payments", draw: draw(), key: keyOf(index) }, endpoints);
    return choice.kind === "target" && choice.target.version === "v2";
  });
}

const percentOf = (sides: readonly boolean[]): number => (100 * sides.filter((side) => side).length) / count;

test("drawn calls", () => {
  for (const weight of [1, 10, 50, 90, 99])
    expect(Math.abs(percentOf(sidesOf(weight, () => undefined)) - weight)).toBeLessThan(1);
});

test("distinct keys, of which none goes back while the weight grows", () => {
  let before: readonly boolean[] = [];
  for (const weight of [1, 10, 50, 90, 99]) {
    const sides = sidesOf(weight, (index) => `user-${index}`);
    expect(Math.abs(percentOf(sides) - weight)).toBeLessThan(1);
    expect(before.filter((was, index) => was && !sides[index])).toEqual([]);
    before = sides;
  }
});
