import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { renderTarget } from "../../../core/kinds/route/targets.js";
import type { WeightedVersion } from "../../../core/model.js";
import { parseAvailable, renderAvailable } from "../../../core/route/available.js";
import { chooseTarget, isOfTarget } from "../../../core/route/choose-target.js";
import { fractionsOf, saltOf, stableFraction, stableFractionOf } from "../../../core/route/stable-hash.js";

const split = [
  { version: "v1", weight: 90 },
  { version: "v2", weight: 10 },
  { version: "v3", weight: 0 },
];

interface Options {
  readonly key?: string;
  readonly fails?: boolean;
  readonly has?: (target: WeightedVersion) => boolean;
}

function choose(targets: readonly WeightedVersion[], draw: number, options: Options = {}): string {
  const { key, fails = false, has = () => true } = options;
  const pick = { draw, key, service: "payments", failsWhenEmpty: fails };
  const choice = chooseTarget(targets, targets.map(renderTarget), pick, has);
  if (choice.kind === "target") return renderTarget(choice.target);
  return choice.kind === "any" || choice.target === undefined ? choice.kind : `none of ${renderTarget(choice.target)}`;
}

describe("a split", () => {
  test("gives each target its share of the draws", () => {
    const counts: Record<string, number> = {};
    for (let step = 0; step < 1000; step++) {
      const name = choose(split, step / 1000);
      counts[name] = (counts[name] ?? 0) + 1;
    }
    expect(counts).toEqual({ v1: 900, v2: 100 });
  });

  test("that is empty is any endpoint", () => {
    expect(choose([], 0.5, { has: () => false })).toBe("any");
  });

  test("gives the share of a target without endpoints to the others, or fails it, as the route says", () => {
    const has = ({ version }: WeightedVersion): boolean => version !== "v1";
    for (const draw of [0, 0.5, 0.999_999]) expect(choose(split, draw, { has })).toBe("v2");
    expect(choose(split, 0, { has, fails: true })).toBe("none of v1");
    expect(choose(split, 0.95, { has, fails: true })).toBe("v2");
  });

  test("leads nowhere if only targets of weight 0, or none, have endpoints", () => {
    expect(choose(split, 0, { has: ({ version }) => version === "v3" })).toBe("none");
    expect(choose(split, 0, { has: () => false, key: "ann" })).toBe("none");
  });

  test("chooses a target with weight and endpoints, whatever the draw and the key", () => {
    const weighted = fc.record({ version: fc.constantFrom("a", "b", "c", "d"), weight: fc.nat(1_000_000) });
    const splits = fc.uniqueArray(weighted, { selector: ({ version }) => version, minLength: 1 });
    const draws = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    const keys = fc.option(fc.string(), { nil: undefined });
    fc.assert(
      fc.property(splits, draws, keys, fc.subarray(["a", "b", "c", "d"]), (targets, draw, key, there) => {
        const has = ({ version }: WeightedVersion): boolean => there.includes(version);
        const usable = targets.filter((target) => target.weight > 0 && has(target)).map(renderTarget);
        const chosen = choose(targets, draw, { has, ...(key === undefined ? {} : { key }) });
        if (chosen === "none") expect(usable).toEqual([]);
        else expect(usable).toContain(chosen);
      }),
    );
  });
});

describe("a sticky split", () => {
  const keys = Array.from({ length: 100_000 }, (_, index) => `user-${index}`);
  const sides = (targets: readonly WeightedVersion[]): readonly string[] =>
    keys.map((key) => choose(targets, 0, { key }));
  const share = (all: readonly string[], name: string): number =>
    all.filter((side) => side === name).length / all.length;

  test("gives each target its share of 100,000 keys within 1 %", () => {
    for (const weight of [1, 10, 50, 99]) {
      const all = sides([
        { version: "v1", weight: 100 - weight },
        { version: "v2", weight },
      ]);
      expect(Math.abs(share(all, "v2") - weight / 100)).toBeLessThan(0.01);
    }
  });

  test("moves keys to the target whose weight grows, and nobody else", () => {
    const before = sides([
      { version: "v1", weight: 90 },
      { version: "v2", weight: 10 },
    ]);
    const after = sides([
      { version: "v1", weight: 70 },
      { version: "v2", weight: 30 },
    ]);
    const moved = keys.filter((_, index) => before[index] !== after[index]);
    expect(moved.length / keys.length).toBeCloseTo(0.2, 2);
    expect(keys.every((_, index) => before[index] !== "v2" || after[index] === "v2")).toBe(true);
  });

  test("does not depend on the order of the split, and another service draws otherwise", () => {
    const there = [
      { version: "v1", weight: 1 },
      { version: "v2", weight: 1 },
    ];
    expect(sides(there.toReversed()).slice(0, 1000)).toEqual(sides(there).slice(0, 1000));
    const pick = (service: string, key: string) =>
      chooseTarget(there, ["v1", "v2"], { draw: 0, key, service, failsWhenEmpty: false }, () => true);
    const same = keys.slice(0, 1000).filter((key) => JSON.stringify(pick("a", key)) === JSON.stringify(pick("b", key)));
    expect(same.length).toBeGreaterThan(400);
    expect(same.length).toBeLessThan(600);
  });
});

test("a stable fraction is the same for ever: proxies of two versions of Ashlar agree", () => {
  expect(["", "a", "payments\nv1\nann", "ü"].map((text) => stableFraction(text).toFixed(12))).toMatchInlineSnapshot(`
[
  "0.283383896447",
  "0.312929873889",
  "0.750987881960",
  "0.155290456888",
]
`);
});

describe("a target by labels", () => {
  const endpoint = { version: "v1", labels: [{ key: "zone", value: "a" }] };

  test.each([
    [{ version: "v1" }, true],
    [{ version: "v2" }, false],
    [{ version: "", labels: [{ key: "zone", value: "a" }] }, true],
    [{ version: "", labels: [{ key: "zone", value: "b" }] }, false],
    [
      {
        version: "v1",
        labels: [
          { key: "zone", value: "a" },
          { key: "rack", value: "1" },
        ],
      },
      false,
    ],
    [{ version: "v2", labels: [{ key: "zone", value: "a" }] }, false],
  ])("%j takes v1 in zone a: %s", (target, expected) => {
    expect(isOfTarget(target, endpoint)).toBe(expected);
  });

  test("is judged alike by what a record keeps of the endpoint", () => {
    const kept = renderAvailable(endpoint, ["rack", "zone"]);
    expect(kept).toBe("v1 rack,zone=a");
    expect(parseAvailable(kept)).toEqual({ ...endpoint, keys: ["rack", "zone"] });
    expect(parseAvailable(renderAvailable(endpoint, []))).toEqual({ version: "v1", labels: [], keys: [] });
  });
});

test("a hash of three parts is that of the parts put together, so that no key moves with this version", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string(), fc.string(), (first, second, third) => {
      expect(stableFractionOf(first, second, third)).toBe(stableFraction(`${first}\n${second}\n${third}`));
    }),
  );
});

test("hashes for several salts at once are those for each of them", () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { maxLength: 11 }), fc.string({ unit: "binary" }), (names, key) => {
      const all = fractionsOf(
        names.map((name) => saltOf("shop", name)),
        key,
      );
      expect([...all.slice(0, names.length)]).toEqual(names.map((name) => stableFraction(`shop\n${name}\n${key}`)));
    }),
  );
});
