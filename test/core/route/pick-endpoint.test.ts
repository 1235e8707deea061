import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { pickEndpoint } from "../../../core/route/pick-endpoint.js";

describe("pickEndpoint", () => {
  test("gives nothing where there is nothing, and the only one where there is one", () => {
    expect(pickEndpoint([], () => 0, 0.5)).toBeUndefined();
    expect(pickEndpoint(["a"], () => 9, 0.5)).toBe("a");
  });

  test("spreads evenly while loads are even", () => {
    const counts: Record<string, number> = {};
    for (let step = 0; step < 3000; step++) {
      const picked = pickEndpoint(["a", "b", "c"], () => 0, step / 3000) ?? "none";
      counts[picked] = (counts[picked] ?? 0) + 1;
    }
    expect(counts).toEqual({ a: 1000, b: 1000, c: 1000 });
  });

  test("takes the less loaded of two different candidates, so never the most loaded", () => {
    const draws = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 20 }), draws, (count, draw) => {
        const endpoints = Array.from({ length: count }, (_, index) => index);
        expect(pickEndpoint(endpoints, (load) => load, draw)).toBeLessThan(count - 1);
      }),
    );
  });
});
