import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { ExpectedProxy } from "../../../control-plane/fleet/expected-proxies.js";
import { FleetState, isActive, isPrepared, rejectionOf } from "../../../control-plane/fleet/fleet-state.js";
import { buildFleetStatus } from "../../../control-plane/fleet/fleet-status.js";
import { digestOf } from "../../../core/digest.js";
import { activation } from "../../data-plane/sync/records.js";
import { buildHeartbeat } from "../../support/fake-fleet.js";

const options = { liveMs: 10_000, forgetMs: 86_400_000, proxiesMax: 5 };
const digest = digestOf(Buffer.from("revision 1"));
const ids = (entries: readonly { heartbeat: { proxyId: string } }[]) =>
  entries.map(({ heartbeat }) => heartbeat.proxyId);

describe("the roster of proxies", () => {
  test("a proxy is live for ten seconds after a heartbeat, then silent, then forgotten after a day", () => {
    const fleet = new FleetState(options);
    fleet.hear(buildHeartbeat("a"), 0);
    expect(ids(fleet.live(9_999))).toEqual(["a"]);
    expect(ids(fleet.live(10_000))).toEqual([]);
    fleet.forget(86_400_000);
    expect(ids(fleet.list(86_400_000))).toEqual(["a"]);
    fleet.forget(86_400_001);
    expect(fleet.list(86_400_001)).toEqual([]);
  });

  test("while more is said in a proxy's name than is looked at its silence says nothing, for a minute", () => {
    const fleet = new FleetState(options);
    fleet.hear(buildHeartbeat("a"), 0);
    for (const nowMs of [9_000, 18_000, 27_000, 36_000, 45_000, 54_000, 60_001]) fleet.doubt("a", nowMs);
    expect(ids(fleet.live(63_999))).toEqual(["a"]);
    expect(ids(fleet.live(64_000))).toEqual([]);
    fleet.doubt("a", 64_000);
    fleet.doubt("invented", 64_000);
    expect(ids(fleet.live(64_001))).toEqual([]);
  });

  test("who is revoked is live no more, stays to be seen, and may come back with another certificate", () => {
    const fleet = new FleetState(options);
    const revoked = { serial: "s1", reason: "stolen", timeMs: 5 };
    fleet.hear(buildHeartbeat("a"), 0, 0, { serial: "s1", revoked: undefined });
    expect(fleet.revoke((serial) => (serial === "s1" ? revoked : undefined))).toBe(true);
    expect(fleet.revoke((serial) => (serial === "s1" ? revoked : undefined))).toBe(false);
    fleet.hear(buildHeartbeat("a"), 10, 10, { serial: "s1", revoked });
    expect(fleet.live(11)).toEqual([]);
    const status = buildFleetStatus({ entries: fleet.list(11), missing: [] }, undefined, undefined, 11);
    expect([status.total, status.behind]).toEqual([0, 0]);
    expect(status.problems.map(({ code }) => code)).toEqual(["proxy-revoked"]);
    fleet.hear(buildHeartbeat("a"), 20, 20, { serial: "s2", revoked: undefined });
    expect(ids(fleet.live(21))).toEqual(["a"]);
  });

  test("the last heartbeat of a proxy that leaves removes it, and it may come back", () => {
    const fleet = new FleetState(options);
    fleet.hear(buildHeartbeat("a"), 0);
    fleet.hear(buildHeartbeat("a", { leaving: true }), 1);
    expect(fleet.list(1)).toEqual([]);
    fleet.hear(buildHeartbeat("a"), 2);
    expect(ids(fleet.live(2))).toEqual(["a"]);
  });

  test("a full roster gives up the longest silent proxy, never a live one", () => {
    const fleet = new FleetState(options);
    for (const [index, id] of ["a", "b", "c", "d", "e"].entries()) fleet.hear(buildHeartbeat(id), index * 3000);
    fleet.hear(buildHeartbeat("f"), 12_500); // only a (heard at 0) is silent
    expect(ids(fleet.list(12_500))).toEqual(["b", "c", "d", "e", "f"]);
    fleet.hear(buildHeartbeat("g"), 12_600);
    expect(fleet.turnedAway).toBe(1);
    expect(ids(fleet.list(12_600))).toEqual(["b", "c", "d", "e", "f"]);
  });

  test("after a restart, proxies that were live get their ten seconds to be heard of again", () => {
    const before = new FleetState(options);
    before.hear(buildHeartbeat("quiet"), 0);
    before.hear(buildHeartbeat("lively"), 20_000);
    const after = new FleetState(options);
    after.restore(before.save(21_000), 500_000);
    expect(ids(after.live(509_999))).toEqual(["lively"]);
    expect(ids(after.live(510_000))).toEqual([]);
    expect(ids(after.list(510_000))).toEqual(["lively", "quiet"]);
  });

  test("I8: whatever is heard in whatever order, the roster keeps its bound and its order by last arrival", () => {
    const heard = fc.record({
      id: fc.integer({ min: 0, max: 12 }).map((n) => `p${n}`),
      leaving: fc.boolean(),
      afterMs: fc.integer({ min: 0, max: 30_000 }),
    });
    fc.assert(
      fc.property(fc.array(heard, { maxLength: 60 }), (events) => {
        const fleet = new FleetState(options);
        let nowMs = 0;
        for (const { id, leaving, afterMs } of events) {
          nowMs += afterMs;
          fleet.hear(buildHeartbeat(id, { leaving }), nowMs);
          expect(fleet.list(nowMs).length).toBeLessThanOrEqual(options.proxiesMax);
          for (const entry of fleet.list(nowMs)) expect(entry.live).toBe(nowMs - entry.lastSeenMs < options.liveMs);
          const next = fleet.nextSilenceMs(nowMs);
          expect(next === undefined).toBe(fleet.live(nowMs).length === 0);
        }
      }),
    );
  });
});

describe("where a proxy stands", () => {
  const head = { ...activation(4, activation(3, undefined, 1), 1).body, revisionDigest: digest };

  for (const [name, parts, active, prepared, rejection] of [
    ["I7: having seen the epoch is not evaluating it", { seenEpoch: 4, evaluatingEpoch: 3 }, false, false, undefined],
    ["evaluating the head counts as prepared", { evaluatingEpoch: 4, evaluatingDigest: digest }, true, true, undefined],
    ["a prepared revision is found by digest", { prepared: [{ number: 1, digest }] }, false, true, undefined],
    ["a rejection is found by digest", { rejected: { number: 1, digest, reason: "bad" } }, false, false, "bad"],
  ] as const) {
    test(name, () => {
      const heartbeat = buildHeartbeat("a", parts);
      expect([isActive(heartbeat, head), isPrepared(heartbeat, digest), rejectionOf(heartbeat, digest)]).toEqual([
        active,
        prepared,
        rejection,
      ]);
    });
  }
});

describe("the status of the mesh", () => {
  const head = { ...activation(2, activation(1, undefined, 1), 1).body, revisionDigest: digest };
  const good = { seenEpoch: 2, evaluatingEpoch: 2, evaluatingRevision: 1, evaluatingDigest: digest };
  let missing: readonly ExpectedProxy[] = [];
  const statusAt = (nowMs: number, ...heartbeats: ReturnType<typeof buildHeartbeat>[]) => {
    const fleet = new FleetState();
    for (const heartbeat of heartbeats) fleet.hear(heartbeat, 1_700_000_000_000);
    return buildFleetStatus({ entries: fleet.list(nowMs), missing }, head, digest, nowMs);
  };
  const nowMs = 1_700_000_000_000;

  test("a fleet that evaluates the head has no problems", () => {
    const status = statusAt(nowMs, buildHeartbeat("a", good), buildHeartbeat("b", good));
    expect(status).toEqual({ total: 2, prepared: 2, active: 2, behind: 0, rejected: 0, problems: [], bypassable: [] });
  });

  test("who is behind, rejecting or about to expire is named", () => {
    const status = statusAt(
      nowMs,
      buildHeartbeat("a", good),
      buildHeartbeat("b", { evaluatingEpoch: 1, rejected: { number: 1, digest, reason: "unknown field 9" } }),
      buildHeartbeat("c", { ...good, certificateExpiresMs: nowMs + 3_600_000 }),
    );
    expect([status.total, status.prepared, status.active, status.behind, status.rejected]).toEqual([3, 2, 2, 1, 1]);
    expect(status.problems.map(({ code, subject, message }) => [code, subject, message])).toEqual([
      ["proxy-behind", "b", "proxy b (payments) evaluates epoch 1, the mesh is at 2"],
      ["proxy-rejecting", "b", "proxy b (payments) refused revision 1: unknown field 9"],
      ["certificate-expiring", "c", "proxy c (payments): its certificate expires in 1 h"],
    ]);
  });

  test("a proxy that went silent without leaving counts as behind", () => {
    const status = statusAt(nowMs + 15_000, buildHeartbeat("a", good));
    expect([status.total, status.behind]).toEqual([0, 1]);
    const message = "proxy a (payments) went silent 15 s ago without leaving";
    expect(status.problems).toEqual([{ code: "proxy-silent", subject: "a", message }]);
  });

  test("a proxy that got an identity and was never heard of counts as behind", () => {
    missing = [{ proxyId: "z", service: "cart", version: "v1", sinceMs: nowMs - 60_000 }];
    const status = statusAt(nowMs, buildHeartbeat("a", good));
    missing = [];
    expect([status.total, status.behind]).toEqual([1, 1]);
    const message = "proxy z (cart) got an identity 1 min ago and was never heard of";
    expect(status.problems).toEqual([{ code: "proxy-never-heard", subject: "z", message }]);
  });

  test("ways around a proxy are listed apart and are no problem", () => {
    const status = statusAt(nowMs, buildHeartbeat("a", { ...good, bypassable: ["app tcp 127.0.0.1:8080"] }));
    expect(status.bypassable).toEqual(["a (payments): app tcp 127.0.0.1:8080"]);
    expect(status.problems).toEqual([]);
  });
});
