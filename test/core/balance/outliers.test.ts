import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { OutlierDetector, outcome, windowMs } from "../../../core/balance/outliers.js";
import type { Outliers } from "../../../core/kinds/resilience/resilience.js";

const policy: Outliers = {
  consecutiveFailures: 5,
  consecutiveTimeouts: 3,
  baseEjectionMs: 10_000,
  maxEjectionMs: 25_000,
  maxEjected: 5000,
};

const { success, failure, timeout } = outcome;

/** Notes the same outcome several times at one moment and returns what was ejected. */
function repeat(detector: OutlierDetector, instance: string, what: 0 | 1 | 2, times: number, nowMs = 0, of = 4) {
  return Array.from({ length: times }, () => detector.note(instance, what, 5, of, nowMs)).filter(
    (ejection) => ejection !== undefined,
  );
}

test("latency ejects exactly when the median of the last 64 calls, of at least 20, is above the bound", () => {
  const took = fc.integer({ min: 95, max: 105 });
  fc.assert(
    fc.property(fc.array(took, { minLength: 100, maxLength: 200 }), (calls) => {
      const detector = new OutlierDetector({ ...policy, latencyMs: 100 });
      let noted: number[] = [];
      for (const [index, tookMs] of calls.entries()) {
        noted = [...noted, tookMs].slice(-64);
        const ejection = detector.note("a", success, tookMs, 4, 0);
        const median = [...noted].sort((a, b) => a - b)[noted.length >> 1] ?? 0;
        expect(ejection?.reason).toBe(index + 1 >= 20 && median > 100 ? "latency" : undefined);
        if (ejection !== undefined) return;
      }
    }),
  );
});

describe("an instance is ejected", () => {
  test("after so many failures one after the other, and not before", () => {
    const detector = new OutlierDetector(policy);
    expect(repeat(detector, "a", failure, 4)).toEqual([]);
    expect(repeat(detector, "a", failure, 1)).toEqual([{ instance: "a", reason: "failures", untilMs: 10_000 }]);
    expect([detector.isEjected("a", 9999), detector.isEjected("a", 10_000), detector.isEjected("b", 0)]).toEqual([
      true,
      false,
      false,
    ]);
  });

  test("after so many timeouts, which failures between do not hide from success", () => {
    const detector = new OutlierDetector(policy);
    repeat(detector, "a", timeout, 2);
    repeat(detector, "a", success, 1);
    expect(repeat(detector, "a", timeout, 2)).toEqual([]);
    expect(repeat(detector, "a", timeout, 1)[0]?.reason).toBe("timeouts");
  });

  test("for longer each time, up to the bound, and for less when it has been well in between", () => {
    const detector = new OutlierDetector(policy);
    const lengths: number[] = [];
    let nowMs = 0;
    for (let round = 0; round < 4; round++) {
      const [ejection] = repeat(detector, "a", failure, 5, nowMs);
      lengths.push((ejection?.untilMs ?? 0) - nowMs);
      nowMs = (ejection?.untilMs ?? 0) + 1;
      expect(detector.returned(nowMs)).toEqual(["a"]);
    }
    expect(lengths).toEqual([10_000, 20_000, 25_000, 25_000]);
    for (let window = 0; window < 6; window++) {
      nowMs += windowMs + 1;
      detector.note("a", success, 5, 4, nowMs);
    }
    const [again] = repeat(detector, "a", failure, 5, nowMs);
    expect((again?.untilMs ?? 0) - nowMs).toBe(10_000);
  });

  test("by its share of successes, once there are enough calls to tell", () => {
    const detector = new OutlierDetector({ ...policy, consecutiveFailures: 0, successRate: 8000 });
    const noted = Array.from({ length: 19 }, (_, call) =>
      detector.note("a", call % 2 === 0 ? failure : success, 5, 4, 0),
    );
    expect(noted.every((one) => one === undefined)).toBe(true);
    expect(detector.note("a", failure, 5, 4, 0)?.reason).toBe("success-rate");
  });

  test("by its median, also when it becomes slow after many quick calls", () => {
    const detector = new OutlierDetector({ ...policy, latencyMs: 100 });
    for (let call = 0; call < 500; call++) expect(detector.note("a", success, 5, 4, 0)).toBeUndefined();
    const slow = Array.from({ length: 64 }, () => detector.note("a", success, 500, 4, 0)?.reason);
    expect(slow.find((reason) => reason !== undefined)).toBe("latency");
  });
});

describe("a fault of ours never empties a service", () => {
  test.each([
    [1, 0],
    [2, 1],
    [3, 1],
    [4, 2],
    [10, 5],
  ])("of %d instances at most %d are ejected", (instances, most) => {
    const detector = new OutlierDetector(policy);
    for (let instance = 0; instance < instances; instance++)
      repeat(detector, `i${instance}`, failure, 50, 0, instances);
    expect(detector.ejected).toBe(most);
  });

  test("an instance that is gone makes room for another ejection", () => {
    const detector = new OutlierDetector(policy);
    repeat(detector, "a", failure, 5, 0, 2);
    expect(repeat(detector, "b", failure, 5, 0, 2)).toEqual([]);
    detector.keepOnly(new Set(["b", "c"]));
    expect(repeat(detector, "b", failure, 5, 0, 2)).toHaveLength(1);
  });

  test("calls that were open when it was ejected make nothing worse", () => {
    const detector = new OutlierDetector(policy);
    repeat(detector, "a", failure, 5);
    expect(repeat(detector, "a", failure, 100, 5000)).toEqual([]);
    detector.returned(10_001);
    expect(repeat(detector, "a", failure, 4, 10_001)).toEqual([]);
  });
});
