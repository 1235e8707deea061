import { expect, test } from "@jest/globals";
import type { AuditDraft } from "../../../control-plane/audit/audit-trail.js";
import { LimitedAuditTrail, type RefusalLimits } from "../../../control-plane/audit/refusal-limit.js";
import { ManualClock } from "../../support/manual-clock.js";

const usual: RefusalLimits = { notedMax: 3, windowMs: 60_000, kindsMax: 5, anonymousMax: 1000 };
const draft = (parts: Partial<AuditDraft> = {}): AuditDraft => ({
  actor: "anonymous",
  source: "10.0.0.1:4000",
  action: "join",
  target: "service payments",
  outcome: "unauthenticated",
  detail: "unknown token",
  ...parts,
});

function world(limits: RefusalLimits = usual) {
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
  expect(entries.length).toBeLessThanOrEqual((usual.kindsMax + 1) * usual.notedMax);
  const noted = entries.length;
  await trail.flush();
  expect(entries.at(-1)?.detail).toBe(`${500 - noted} more refusals like this one: unknown token`);
});

test("failed logins from a thousand addresses a minute fill nothing, and an operator's refusals are noted meanwhile", async () => {
  const { entries, clock, trail } = world({ notedMax: 10, windowMs: 60_000, kindsMax: 1000, anonymousMax: 30 });
  const login = { action: "login" as const, target: "console", outcome: "not_found" };
  for (let minute = 0; minute < 10; minute += 1) {
    for (let host = 0; host < 1000; host += 1)
      await trail.record(draft({ ...login, source: `[2001:db8::${host}]:443` }));
    await clock.advance(60_000);
  }
  await trail.record(draft({ actor: "spiffe://m/operator/ann", outcome: "denied" }));
  await trail.flush();
  const counted = entries.filter(({ detail }) => detail.includes("more refusals"));
  expect(entries.filter(({ actor }) => actor === "spiffe://m/operator/ann")).toHaveLength(1);
  expect(entries.length - counted.length).toBe(301);
  expect(counted.map(({ detail }) => detail)).toEqual(
    Array.from({ length: 10 }, () => "970 more refusals like this one: unknown token"),
  );
});
