import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { chooseVersion } from "../../../core/route/choose-version.js";

const split = [
  { version: "v1", weight: 90 },
  { version: "v2", weight: 10 },
  { version: "v3", weight: 0 },
];
const everywhere = () => true;

describe("chooseVersion", () => {
  test("gives each version its share of the draws", () => {
    const counts: Record<string, number> = {};
    for (let step = 0; step < 1000; step++) {
      const choice = chooseVersion(split, step / 1000, everywhere);
      const version = choice.kind === "version" ? choice.version : choice.kind;
      counts[version] = (counts[version] ?? 0) + 1;
    }
    expect(counts).toEqual({ v1: 900, v2: 100 });
  });

  test("takes any version where there is no split", () => {
    expect(chooseVersion([], 0.5, () => false)).toEqual({ kind: "any" });
  });

  test("gives a version without endpoints nothing while another has some", () => {
    for (const draw of [0, 0.5, 0.999_999])
      expect(chooseVersion(split, draw, (version) => version !== "v1")).toEqual({ kind: "version", version: "v2" });
  });

  test("goes nowhere if only versions of weight 0, or none, have endpoints", () => {
    expect(chooseVersion(split, 0, (version) => version === "v3")).toEqual({ kind: "none" });
    expect(chooseVersion(split, 0, () => false)).toEqual({ kind: "none" });
  });

  test("chooses a version of the split that has weight and endpoints, whatever the draw", () => {
    const weighted = fc.record({ version: fc.constantFrom("a", "b", "c", "d"), weight: fc.nat(1_000_000) });
    const splits = fc.uniqueArray(weighted, { selector: ({ version }) => version, minLength: 1 });
    const draws = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(splits, draws, fc.subarray(["a", "b", "c", "d"]), (versions, draw, there) => {
        const usable = versions.filter(({ version, weight }) => weight > 0 && there.includes(version));
        const choice = chooseVersion(versions, draw, (version) => there.includes(version));
        if (choice.kind === "version") expect(usable.map(({ version }) => version)).toContain(choice.version);
        else expect([choice.kind, usable]).toEqual(["none", []]);
      }),
    );
  });
});
