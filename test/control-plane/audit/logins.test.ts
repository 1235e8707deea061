import { expect, test } from "@jest/globals";
import type { AuditDraft } from "../../../control-plane/audit/audit-trail.js";
import { Logins } from "../../../control-plane/audit/logins.js";
import { ManualClock } from "../../support/manual-clock.js";

const alice = "spiffe://test/operator/alice";

function start() {
  const clock = new ManualClock();
  const entries: AuditDraft[] = [];
  const logins = new Logins({ clock, audit: { record: async (draft) => void entries.push(draft) } });
  return { clock, entries, logins };
}

test("a certificate is noted once an hour and host, whatever the port", async () => {
  const { clock, entries, logins } = start();
  const hour = 3_600_000 - (clock.nowMs() % 3_600_000);
  for (const source of ["10.0.0.1:5000", "10.0.0.1:5001", "10.0.0.2:5000"])
    await logins.note({ id: alice, source }, "ab");
  await logins.note({ id: alice, source: "10.0.0.1:5002" }, "cd");
  expect(entries).toHaveLength(3);
  expect(entries[0]).toEqual({
    actor: alice,
    source: "10.0.0.1:5000",
    action: "login",
    target: "admin API",
    outcome: "ok",
    detail: "certificate ab",
  });
  await clock.advance(hour);
  await logins.note({ id: alice, source: "10.0.0.1:5000" }, "ab");
  expect(entries).toHaveLength(4);
});

test("I8: of a flood of hosts a thousand are noted in an hour, and one more that says so", async () => {
  const { entries, logins } = start();
  for (let host = 0; host < 3000; host += 1) await logins.note({ id: alice, source: `host-${host}:1` }, "ab");
  expect(entries).toHaveLength(1001);
  expect(entries.at(-1)?.detail).toMatch(/the last that is noted this hour/);
});
