import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { createActivator } from "../../../control-plane/activate/activator.js";
import { createRollback } from "../../../control-plane/activate/rollback.js";
import type { AuditDraft } from "../../../control-plane/audit/audit-trail.js";
import { FloorGuard } from "../../../control-plane/recover/floor-guard.js";
import { createShadows } from "../../../control-plane/shadow/shadows.js";
import type { Revision, Signed } from "../../../core/model.js";
import { gatesDefault } from "../../../core/rollout/gates.js";
import { parseStages } from "../../../core/rollout/stages.js";
import { rootKeySet, signRevision, verifyActivation } from "../../../core/wire/records.js";
import { affects, everyCall } from "../../support/affected.js";
import { buildHeartbeat, FakeFleet } from "../../support/fake-fleet.js";
import { ManualClock } from "../../support/manual-clock.js";
import { noOrders } from "../../support/no-orders.js";
import { PlainLedger } from "../../support/plain-ledger.js";
import { buildRevision, createTestKey, testAuthor, testMesh } from "../../support/records.js";

const { signer, publicKey } = createTestKey();
const caller = { id: testAuthor, source: "127.0.0.1:5000" };

class World {
  readonly clock = new ManualClock();
  readonly ledger = new PlainLedger();
  readonly fleet = new FakeFleet(this.clock);
  readonly entries: AuditDraft[] = [];
  readonly guard = new FloorGuard({ ledger: this.ledger, clock: this.clock, lostAtStart: false });
  readonly deps = {
    beforeSigning: this.guard.settledFor("activations"),
    mesh: testMesh,
    ledger: this.ledger,
    fleet: this.fleet.loop,
    signer,
    clock: this.clock,
    affected: affects(everyCall),
    audit: { record: async (draft: AuditDraft) => void this.entries.push(draft) },
  };
  readonly shadows = createShadows(this.deps);
  readonly activator = createActivator({ ...this.deps, orders: noOrders });
  readonly revisions: Signed<Revision>[] = [];

  async start(): Promise<this> {
    for (let made = 0; made < 3; made += 1) {
      const next = signRevision(buildRevision(this.ledger.revisions.head(), `change ${made}`), testMesh, signer);
      await this.ledger.revisions.append(next);
      this.revisions.push(next);
    }
    await this.activate(1);
    await this.activate(2);
    this.fleet.prepare("p1", this.revisions);
    return this;
  }

  activate(revision: number, stages?: string) {
    const staged = stages === undefined ? undefined : { stages: parseStages(stages), holdMs: 1, gates: gatesDefault };
    const options = { revision, reason: "", force: false, thresholdPercent: 0, prepareTimeoutMs: 0, staged };
    return this.activator.activate(options, caller);
  }
}

let world: World;
beforeEach(async () => {
  world = await new World().start();
});
afterEach(() => world.fleet.loop.close());

describe("a shadow", () => {
  test("is an epoch of the active revision that names candidate and share, survives its bytes, and is audited", async () => {
    const { body, bytes } = await world.shadows.start(3, 1000, "try", caller);
    const shadow = { number: 3, digest: world.revisions[2]?.digest, shareBasisPoints: 1000 };
    expect(body).toMatchObject({ epoch: 3, revisionNumber: 2, rollbackOf: undefined, shadow });
    expect(verifyActivation(bytes, testMesh, rootKeySet(publicKey)).body).toEqual(body);
    const stopped = await world.shadows.stop("", caller);
    expect(stopped.body).toMatchObject({ epoch: 4, revisionNumber: 2 });
    expect(stopped.body.shadow).toBeUndefined();
    expect(world.entries.slice(-2).map(({ action, outcome }) => [action, outcome])).toEqual([
      ["shadow", "ok"],
      ["shadow", "ok"],
    ]);
  });

  test("ends when its candidate is activated, and is no step of the history that rollbacks walk", async () => {
    await world.shadows.start(3, 10_000, "", caller);
    await world.activate(3);
    expect(world.ledger.activations.head()?.body.shadow).toBeUndefined();
    expect(world.shadows.report()).toEqual({ head: undefined, services: [] });
    const roller = createRollback(world.deps);
    const back = await roller.rollback({ to: undefined, reason: "", wait: false, waitTimeoutMs: 0 }, caller);
    expect(back.activation.body.revisionNumber).toBe(2);
  });

  test.each([
    ["of what is active", 2, 1000, "stale", /revision 2 is active/],
    ["of what was never published", 9, 1000, "not_found", /no revision 9/],
    ["of no calls", 3, 0, "invalid_argument", /share/],
    ["of more than all", 3, 10_001, "invalid_argument", /share/],
  ])("%s is refused and changes nothing", async (_name, revision, share, code, message) => {
    await expect(world.shadows.start(revision, share, "", caller)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    await expect(world.shadows.stop("", caller)).rejects.toMatchObject({ code: "stale" });
    expect(world.ledger.activations.head()?.body.epoch).toBe(2);
  });

  test("is refused where the fleet has seen epochs that the log lacks", async () => {
    world.guard.hear(buildHeartbeat("p1", { seenEpoch: 9 }));
    const refused = expect(world.shadows.start(3, 1000, "", caller)).rejects.toMatchObject({ code: "stale" });
    for (let passed = 0; passed < 5; passed++) await world.clock.advance(1000);
    await refused;
    expect(world.ledger.activations.head()?.body.epoch).toBe(2);
  });

  test("is refused while a rollout runs", async () => {
    await world.activate(3, "1,100%");
    await expect(world.shadows.start(1, 1000, "", caller)).rejects.toMatchObject({ code: "stale" });
  });

  test("is summed up by service from proxies that ask it by this epoch; others are named", async () => {
    const { body } = await world.shadows.start(3, 10_000, "", caller);
    const digest = world.revisions[2]?.digest ?? body.revisionDigest;
    const flips = [{ caller: "a", method: "s.S/M", wouldDeny: 3, wouldAllow: 0 }];
    const counts = { epoch: 3, digest, same: 7, wouldDeny: 3, wouldAllow: 0, errors: 0, flips };
    world.fleet.prepare("p1", world.revisions, { shadow: counts });
    world.fleet.prepare("p2", world.revisions, { shadow: counts });
    world.fleet.prepare("p3", world.revisions, { shadow: { ...counts, epoch: 2 } });
    expect(world.shadows.report().services).toEqual([
      {
        service: "payments",
        running: 2,
        missing: ["p3"],
        same: 14,
        wouldDeny: 6,
        wouldAllow: 0,
        errors: 0,
        flips: [{ ...flips[0], wouldDeny: 6 }],
      },
    ]);
  });
});
