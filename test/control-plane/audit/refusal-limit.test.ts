import { expect, test } from "@jest/globals";
import type { AuditDraft } from "../../../control-plane/audit/audit-trail.js";
import { LimitedAuditTrail } from "../../../control-plane/audit/refusal-limit.js";
import { ManualClock } from "../../support/manual-clock.js";

const limits = { notedMax: 3, windowMs: 60_000, kindsMax: 5 };
const draft = (parts: Partial<AuditDraft> = {}): AuditDraft => ({
  actor: "anonymous",
  source: "10.0.0.1:4000",
  action: "join",
  target: "service payments",
  outcome: "unauthenticated",
  detail: "unknown token",
  ...parts,
});

function world() {
  const entries: AuditDraft[] = [];
  const clock = new ManualClock();
  const trail = new LimitedAuditTrail({ record: async (one) => void entries.push(one) }, clock, limits);
  return { entries, clock, trail };
}

test("a flood of refusals from one host fills nothing: the first are noted, the rest counted", async () => {
  const { entries, clock, trail } = world();
  for (let port = 0; port < 1000; port += 1) await trail.record(draft({ source: `10.0.0.1:${port + 1}` }));
  expect(entries).toHaveLength(3);
  await clock.advance(60_000);
  await trail.record(draft());
  expect(entries.at(3)?.detail).toBe("997 more refusals like this one: unknown token");
  expect(entries).toHaveLength(5);
});

test("what succeeds and what is refused elsewhere is noted all the same", async () => {
  const { entries, trail } = world();
  for (let count = 0; count < 10; count += 1) await trail.record(draft());
  await trail.record(draft({ outcome: "ok" }));
  await trail.record(draft({ source: "10.0.0.2:1" }));
  expect(entries).toHaveLength(5);
});

test("I8: a flood from many hosts is bounded too, and nothing counted is lost at the end", async () => {
  const { entries, trail } = world();
  for (let host = 0; host < 500; host += 1) await trail.record(draft({ source: `10.0.${host}.1:1` }));
  expect(entries.length).toBeLessThanOrEqual((limits.kindsMax + 1) * limits.notedMax);
  const noted = entries.length;
  await trail.flush();
  expect(entries.at(-1)?.detail).toBe(`${500 - noted} more refusals like this one: unknown token`);
});
