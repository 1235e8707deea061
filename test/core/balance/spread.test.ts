import { describe, expect, test } from "@jest/globals";
import { outcome } from "../../../core/balance/outliers.js";
import { type Instance, Spread } from "../../../core/balance/spread.js";
import type { Resilience } from "../../../core/kinds/resilience/resilience.js";

const outliers = {
  consecutiveFailures: 2,
  consecutiveTimeouts: 2,
  baseEjectionMs: 10_000,
  maxEjectionMs: 10_000,
  maxEjected: 5000,
};
const policy = (parts: Partial<Resilience> = {}): Resilience => ({
  kind: "Resilience",
  name: "payments",
  service: "payments",
  outliers: { ...outliers },
  ...parts,
});
const all: readonly Instance[] = ["a", "b", "c"].map((proxyId) => ({ proxyId, version: "v1", labels: [] }));
const idsOf = (instances: readonly Instance[]): string => instances.map(({ proxyId }) => proxyId).join();

function fail(spread: Spread<Instance>, instance: string): void {
  for (let call = 0; call < 2; call++) spread.note(instance, outcome.failure, 5, 0);
}

describe("a spread", () => {
  test("keeps who is ejected when a new revision says the same of outliers, and begins anew when it does not", () => {
    const spread = new Spread<Instance>("p", []);
    spread.follow(policy());
    spread.eligible(all, 0);
    fail(spread, "a");
    expect(idsOf(spread.eligible(all, 1))).toBe("b,c");
    spread.follow(policy({ slowStartMs: 1000 }));
    expect(idsOf(spread.eligible(all, 2))).toBe("b,c");
    spread.follow(policy({ outliers: { ...outliers, consecutiveFailures: 9 } }));
    expect(idsOf(spread.eligible(all, 3))).toBe("a,b,c");
  });

  test("gives the same list until something changes, and lets an instance return when its time is over", () => {
    const spread = new Spread<Instance>("p", []);
    spread.follow(policy());
    expect(spread.eligible(all, 0)).toBe(spread.eligible(all, 5));
    fail(spread, "b");
    expect(idsOf(spread.eligible(all, 10))).toBe("a,c");
    expect(spread.eligible(all, 20)).toBe(spread.eligible(all, 30));
    expect(idsOf(spread.eligible(all, 10_001))).toBe("a,b,c");
  });

  test("without policy holds only calls of a second and more without an answer against an instance", () => {
    const spread = new Spread<Instance>("p", []);
    spread.eligible(all, 0);
    for (let call = 0; call < 9; call++) {
      spread.note("a", outcome.failure, 5, 0);
      spread.note("b", outcome.timeout, 900, 0);
    }
    expect(idsOf(spread.eligible(all, 1))).toBe("a,b,c");
    for (let call = 0; call < 3; call++) spread.note("c", outcome.timeout, 1000, 1);
    expect(idsOf(spread.eligible(all, 2))).toBe("a,b");
  });
});
