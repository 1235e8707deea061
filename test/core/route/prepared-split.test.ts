/** A split that was prepared for many calls chooses what one that is worked out for each call chooses. */
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { compileRouteRule } from "../../../core/policy/compiled-route.js";
import { chooseAmong, isOfTarget } from "../../../core/route/choose-target.js";
import { PreparedSplit } from "../../../core/route/prepared-split.js";

const names = fc.constantFrom("v1", "v2", "v3", "v4", "v5");
const labels = fc.subarray([{ key: "zone", value: "a" }]);
const endpoints = fc.array(fc.record({ version: names, labels }), { maxLength: 8 });
const weight = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 100 }));
const target = fc.record({ version: names, labels, weight });
const splits = fc.uniqueArray(target, { selector: ({ version }) => version, minLength: 1, maxLength: 5 });
const draws = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const call = fc.tuple(draws, fc.option(fc.string({ unit: "binary" }), { nil: undefined }));

test("for any split, endpoints and calls", () => {
  fc.assert(
    fc.property(splits, fc.boolean(), endpoints, fc.array(call, { minLength: 1 }), (split, fails, there, calls) => {
      const whenEmpty = fails ? ("fail" as const) : ("spill" as const);
      const rule = compileRouteRule({ split, timeoutMs: 0, whenEmpty }, "shop/rules[0]");
      const prepared = new PreparedSplit(rule, "shop", there);
      for (const [draw, key] of calls) {
        const choice = chooseAmong(rule, { service: "shop", draw, key }, there);
        const expected =
          choice.kind === "target" ? there.filter((endpoint) => isOfTarget(choice.target, endpoint)) : [];
        expect(prepared.choose(draw, key)).toEqual(expected);
      }
    }),
  );
});
