import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { mayEnter, type Phase, phase } from "../../../data-plane/proxy/forward/call-phase.js";

const names = Object.keys(phase) as (keyof typeof phase)[];
const all: readonly Phase[] = Object.values(phase);
const settled = all.filter((one) => one >= phase.passed);

describe("the phases of a call", () => {
  for (const [from, follow] of [
    ["begun", "held trying answered over"],
    ["held", "begun committed answered over"],
    ["trying", "between committed passed answered over"],
    ["between", "trying answered over"],
    ["committed", "passed answered over"],
    ["passed", "over"],
    ["answered", "over"],
    ["over", ""],
  ] as const) {
    test(`after ${from} may come ${follow === "" ? "nothing" : follow}; every other step is refused`, () => {
      const allowed = names.filter((to) => mayEnter(phase[from], phase[to]));
      expect(allowed.join(" ")).toBe(follow);
    });
  }

  test("a call whose response has begun, or that is settled, is never sent again", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...all), { maxLength: 30 }), (steps) => {
        let now: Phase = phase.begun;
        let mayBeSent = true;
        for (const to of steps) {
          if (!mayEnter(now, to)) continue;
          if (!mayBeSent) expect([phase.committed, ...settled]).toContain(to);
          now = to;
          mayBeSent &&= now < phase.committed;
        }
      }),
    );
  });

  test("a call can end in every phase but the last, and is answered once at most", () => {
    for (const from of all) {
      expect(mayEnter(from, phase.over)).toBe(from !== phase.over);
      expect(mayEnter(from, phase.answered)).toBe(!settled.includes(from));
    }
  });
});
