import { expect, test } from "@jest/globals";
import { RefusalMeter, refusalLimits } from "../../../data-plane/proxy/refusal-meter.js";

const refusal = { caller: "a", method: "s.S/M", rule: "default-deny", verdict: "denied", revision: 3 } as const;

test("refusals that are alike are recorded up to the limit of a window, then counted, and none is lost", () => {
  const meter = new RefusalMeter();
  const admitted = Array.from({ length: 1000 }, () => meter.admit(refusal, 1000)).filter(Boolean).length;
  expect(admitted).toBe(refusalLimits.alikeMax);
  expect(meter.takeCounts()).toEqual([{ ...refusal, count: 1000 - admitted, fromMs: 1000, untilMs: 1000 }]);
  expect(meter.hasCounts).toBe(false);
  expect(meter.admit(refusal, 1000 + refusalLimits.windowMs)).toBe(true);
});

test("one caller's flood leaves room for others", () => {
  const meter = new RefusalMeter();
  for (let index = 0; index < 10_000; index++) meter.admit({ ...refusal, method: `s.S/M${index}` }, 0);
  expect(meter.admit({ ...refusal, caller: "b" }, 1)).toBe(true);
});

test("I8: made-up callers and methods neither grow the counts nor get lost", () => {
  const meter = new RefusalMeter();
  let admitted = 0;
  for (let index = 0; index < 10_000; index++)
    if (meter.admit({ ...refusal, caller: `c${index % 700}`, method: `s.S/M${index}` }, 0)) admitted++;
  expect(admitted).toBe(refusalLimits.allMax);
  const counts = meter.takeCounts();
  expect(counts.length).toBeLessThanOrEqual(refusalLimits.groupsMax + 1);
  expect(counts.reduce((sum, { count }) => sum + count, admitted)).toBe(10_000);
  expect(counts.at(-1)).toMatchObject({ caller: "", method: "", rule: "" });
});

test("a clock that is set back does not silence the meter", () => {
  const meter = new RefusalMeter();
  for (let index = 0; index < 100; index++) meter.admit(refusal, 1_000_000);
  expect(meter.admit(refusal, 500)).toBe(true);
});
