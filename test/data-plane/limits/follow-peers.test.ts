import { expect, test } from "@jest/globals";
import type { RateLimit } from "../../../core/kinds/rate-limit/rate-limit.js";
import { followPeers } from "../../../data-plane/limits/follow-peers.js";
import type { HeldRevision } from "../../../data-plane/sync/held-revision.js";

/** A held revision whose unit of `service` has one limit of this scope. */
function held(service: string, scope: "proxy" | "mesh"): Pick<HeldRevision, "units"> {
  const rateLimits = [{ limits: [{ scope }] }] as unknown as readonly RateLimit[];
  return { units: new Map([[service, { compiled: { rateLimits } }]]) } as unknown as Pick<HeldRevision, "units">;
}

function createTest(before: readonly Pick<HeldRevision, "units">[] = []) {
  const revisions = [...before];
  const listeners = new Set<() => void>();
  const followed: string[] = [];
  const sync = {
    held: () => revisions,
    onChange(listener: () => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  followPeers({ sync, endpoints: { endpoints: (service) => followed.push(service) } }, "payments");
  const prepare = (revision: Pick<HeldRevision, "units">): void => {
    revisions.push(revision);
    for (const listener of listeners) listener();
  };
  return { followed, listeners, prepare };
}

test("peers are followed from the revision on that makes them share, and once", () => {
  const { followed, listeners, prepare } = createTest();
  prepare(held("payments", "proxy"));
  prepare(held("checkout", "mesh"));
  expect(followed).toEqual([]);
  prepare(held("payments", "mesh"));
  prepare(held("payments", "mesh"));
  expect(followed).toEqual(["payments"]);
  expect(listeners.size).toBe(0);
});

test("peers are followed at once where a revision on disk makes them share", () => {
  const { followed, listeners } = createTest([held("payments", "mesh")]);
  expect(followed).toEqual(["payments"]);
  expect(listeners.size).toBe(0);
});
