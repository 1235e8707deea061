import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { ActivateOptions } from "../../../control-plane/activate/activate-options.js";
import { createActivator } from "../../../control-plane/activate/activator.js";
import { createRollback } from "../../../control-plane/activate/rollback.js";
import type { AuditDraft } from "../../../control-plane/audit/audit-trail.js";
import type { RefusalPredictions } from "../../../control-plane/rollout/refusal-predictions.js";
import { driveOnce } from "../../../control-plane/rollout/rollout-driver.js";
import { createRollouts } from "../../../control-plane/rollout/rollouts.js";
import { StageTimes } from "../../../control-plane/rollout/stage-times.js";
import type { Activation, CallCounts, Revision, Signed } from "../../../core/model.js";
import { revisionFor } from "../../../core/rollout/cohort.js";
import { gatesDefault } from "../../../core/rollout/gates.js";
import { parseStages } from "../../../core/rollout/stages.js";
import { signActivation, signRevision } from "../../../core/wire/records.js";
import { silentLogger } from "../../../runtime/log.js";
import { affects, everyCall, inbound } from "../../support/affected.js";
import { FakeFleet } from "../../support/fake-fleet.js";
import { ManualClock } from "../../support/manual-clock.js";
import { noOrders } from "../../support/no-orders.js";
import { PlainLedger } from "../../support/plain-ledger.js";
import { buildRevision, createTestKey, testAuthor, testMesh } from "../../support/records.js";

const { signer } = createTestKey();
const caller = { id: testAuthor, source: "127.0.0.1:5000" };
const holdMs = 30_000;
const good = inbound({ calls: 100, refused: 0, failed: 0, took: [] });
const refusing = inbound({ calls: 100, refused: 60, failed: 0, took: [] });

/** A mesh with four proxies of one service, where revision 1 is active and revision 2 published. */
class World {
  readonly clock = new ManualClock();
  readonly ledger = new PlainLedger();
  readonly fleet = new FakeFleet(this.clock);
  readonly entries: AuditDraft[] = [];
  readonly deps = {
    mesh: testMesh,
    ledger: this.ledger,
    fleet: this.fleet.loop,
    signer,
    clock: this.clock,
    affected: affects(everyCall),
    times: new StageTimes(this.clock),
    audit: { record: async (draft: AuditDraft) => void this.entries.push(draft) },
  };
  readonly activator = createActivator({ ...this.deps, orders: noOrders });
  readonly rollouts = createRollouts(this.deps);
  readonly roller = createRollback(this.deps);
  readonly revisions: Signed<Revision>[] = [];

  async start(): Promise<this> {
    for (let made = 0; made < 3; made += 1) {
      const body = buildRevision(this.ledger.revisions.head(), `change ${made}`);
      const next = signRevision(body, testMesh, signer);
      await this.ledger.revisions.append(next);
      this.revisions.push(next);
    }
    await this.activate({ revision: 1 });
    this.beat(good);
    return this;
  }

  activate(parts: Partial<ActivateOptions>) {
    const options = { revision: 2, reason: "why", force: false, thresholdPercent: 0, prepareTimeoutMs: 0 };
    return this.activator.activate({ ...options, ...parts }, caller);
  }

  begin(stages = "1,50%,100%", parts: Partial<ActivateOptions> = {}) {
    return this.activate({ staged: { stages: parseStages(stages), holdMs, gates: gatesDefault }, ...parts });
  }

  /** Every proxy says that it evaluates what the head says for it; members of a cohort counted `calls`. */
  beat(calls: CallCounts, ids: readonly string[] = ["p1", "p2", "p3", "p4"]): void {
    const head = this.head;
    for (const id of ids) {
      const { number, digest } = revisionFor(head, id);
      const isMember = head.rollout !== undefined && number === head.revisionNumber;
      const state = { evaluatingEpoch: head.epoch, evaluatingRevision: number, evaluatingDigest: digest };
      this.fleet.prepare(id, this.revisions, { ...state, calls: isMember ? calls : good, callsBefore: good });
    }
  }

  get head(): Activation {
    const head = this.ledger.activations.head();
    if (head === undefined) throw new Error("nothing is active");
    return head.body;
  }

  drive(name = "one", predictions?: RefusalPredictions): Promise<void> {
    return driveOnce({ ...this.deps, name, log: silentLogger, ...(predictions && { predictions }) });
  }

  /** The hold passes, heard every second. */
  async hold(calls: CallCounts): Promise<void> {
    for (let passed = 0; passed <= holdMs; passed += 1000) {
      await this.clock.advance(1000);
      this.beat(calls);
    }
  }
}

let world: World;
beforeEach(async () => {
  world = await new World().start();
});
afterEach(() => world.fleet.loop.close());

describe("a rollout", () => {
  test("goes through its stages to the end, each an epoch that names the plan, and the plan is on record", async () => {
    const { activation } = await world.begin();
    expect(activation.body).toMatchObject({
      epoch: 2,
      revisionNumber: 2,
      rollout: { number: 1, stage: 1, base: { number: 1 } },
    });
    expect(activation.body.rollout?.cohort.proxyIds).toHaveLength(1);
    expect(world.ledger.rollouts.head()?.digest).toBe(activation.body.rollout?.digest);
    await world.hold(good);
    await world.drive();
    expect(world.head).toMatchObject({ epoch: 3, rollout: { stage: 2, cohort: { basisPoints: 5000 } } });
    await world.drive();
    expect(world.head.epoch).toBe(3); // its hold has only begun
    world.beat(good);
    await world.hold(good);
    await world.drive();
    expect(world.head).toMatchObject({ epoch: 4, rollout: { stage: 3, cohort: { basisPoints: 10_000 } } });
    await world.hold(good);
    await world.drive();
    expect(world.head.epoch).toBe(4);
    expect(world.rollouts.find(1).state).toBe("done");
    expect(world.rollouts.running()).toBeUndefined();
    expect(world.entries.map(({ action }) => action)).toEqual(["activate", "rollout", "stage", "stage"]);
  });

  test("that fails a gate is rolled back by whoever drives, as a new epoch with the reason", async () => {
    await world.begin();
    world.beat(refusing);
    await world.drive();
    expect(world.head).toMatchObject({ epoch: 3, revisionNumber: 1, rollbackOf: 2, rollout: undefined });
    expect(world.head.author).toBe("spiffe://test.mesh/control-plane/one");
    expect(world.head.reason).toMatch(/^rollout 1 failed its gate "refused" at stage 1 of 3: payments: 60 of 100/);
    expect(world.entries.at(-1)).toMatchObject({ action: "rollback", actor: world.head.author, outcome: "ok" });
    expect(world.rollouts.find(0)).toMatchObject({ state: "rolled-back", end: { body: { epoch: 3 } } });
  });

  test("with a prediction that it asks for goes on with refusals that were expected, and is judged only once it is made", async () => {
    const staged = { stages: parseStages("1,100%"), holdMs, gates: { ...gatesDefault, predicted: true } };
    await world.activate({ staged });
    const asked: number[] = [];
    const predictions: RefusalPredictions = {
      prepare: async ({ body }) => void asked.push(body.number),
      of: () => (asked.length === 0 ? undefined : () => 0.6),
    };
    world.beat(refusing);
    await world.drive("one", predictions);
    expect([asked, world.head.epoch]).toEqual([[1], 2]);
    await world.hold(refusing);
    await world.drive("one", predictions);
    expect(world.head).toMatchObject({ epoch: 3, rollout: { stage: 2 } });
  });

  test("goes on from the log alone: another driver, which never saw it begin, takes the next stage", async () => {
    await world.begin();
    await world.hold(good);
    await world.drive("two");
    expect(world.head).toMatchObject({ rollout: { stage: 2 }, author: "spiffe://test.mesh/control-plane/two" });
  });

  test("driven by two at once takes each stage once: the loser is told of a conflict and looks again", async () => {
    await world.begin();
    await world.hold(good);
    world.ledger.activations.beforeAppend = () => world.drive("two");
    await expect(world.drive("one")).rejects.toMatchObject({ code: "conflict" });
    expect(world.head).toMatchObject({ epoch: 3, rollout: { stage: 2 } });
    await world.drive("one");
    expect(world.head.epoch).toBe(3);
  });

  test("is paused and resumed, each as an epoch; its hold begins anew", async () => {
    await world.begin();
    await world.rollouts.pause(0, "lunch", caller);
    expect(world.head).toMatchObject({
      epoch: 3,
      reason: "rollout 1: pause: lunch",
      rollout: { stage: 1, paused: true },
    });
    await world.hold(good);
    await world.drive();
    expect(world.head.epoch).toBe(3);
    await world.rollouts.resume(1, "", caller);
    world.beat(good);
    await world.drive();
    expect(world.head.epoch).toBe(4);
    await world.hold(good);
    await world.drive();
    expect(world.head).toMatchObject({ epoch: 5, rollout: { stage: 2, paused: false } });
  });

  test("that lacks what it waits for goes on at an operator's word, but not past a gate that fails", async () => {
    await world.begin();
    const quiet = inbound({ calls: 0, refused: 0, failed: 0, took: [] });
    await world.hold(quiet);
    await world.drive();
    expect(world.head.epoch).toBe(2);
    expect(world.rollouts.running()?.step).toMatchObject({ kind: "wait" });
    await world.rollouts.advance(0, "no traffic at night", caller);
    expect(world.head).toMatchObject({
      epoch: 3,
      reason: "rollout 1: advance: no traffic at night",
      rollout: { stage: 2, cohort: { basisPoints: 5000 } },
    });
    world.beat(refusing);
    await expect(world.rollouts.advance(1, "", caller)).rejects.toMatchObject({
      code: "stale",
      message: expect.stringMatching(/failed its gate "refused"/),
    });
    expect(world.head.epoch).toBe(3);
    world.beat(quiet);
    await world.rollouts.advance(1, "", caller);
    expect(world.head).toMatchObject({ epoch: 4, rollout: { stage: 3 } });
    expect(world.rollouts.find(1).state).toBe("done");
    await expect(world.rollouts.advance(0, "", caller)).rejects.toMatchObject({ code: "stale" });
  });

  test("holds by time that passes, whoever sets which clock", async () => {
    await world.drive(); // it looks before the stage begins, as a driver does every second
    await world.begin();
    for (let passed = 0; passed < 15_000; passed += 1000) {
      await world.clock.advance(1000);
      world.beat(good);
    }
    await world.drive();
    world.clock.offMs = 3_600_000;
    world.beat(good);
    expect(world.rollouts.running()?.step).toMatchObject({ kind: "wait", waitsFor: ["the hold of 30 s to end"] });
    await world.drive();
    expect(world.head.epoch).toBe(2); // no hour has passed
    world.clock.offMs = -3_600_000;
    await world.hold(good);
    await world.drive();
    expect(world.head.epoch).toBe(3);
  });

  test("that another control plane began by a clock that is an hour behind holds all the same", async () => {
    await world.drive();
    world.clock.offMs = -3_600_000;
    await world.begin();
    world.clock.offMs = 0;
    for (let passed = 0; passed < 15_000; passed += 1000) {
      await world.clock.advance(1000);
      world.beat(good);
      if (passed === 0) await world.drive();
    }
    await world.drive();
    expect(world.head.epoch).toBe(2);
    await world.hold(good);
    await world.drive();
    expect(world.head.epoch).toBe(3);
  });

  test("is ended by abort and by a rollback, and both go to what everyone had", async () => {
    await world.begin();
    await world.rollouts.abort(0, "no", caller);
    expect(world.head).toMatchObject({ epoch: 3, revisionNumber: 1, rollbackOf: 2, reason: "rollout 1: abort: no" });
    await world.begin("2,100%", { revision: 3 });
    const back = await world.roller.rollback({ to: undefined, reason: "bad", wait: false, waitTimeoutMs: 0 }, caller);
    expect(back.activation.body).toMatchObject({ revisionNumber: 1, rollbackOf: 3 });
    expect(world.rollouts.list(10).map(({ state }) => state)).toEqual(["rolled-back", "rolled-back"]);
  });
});

describe("what is refused, each with its own code, changing nothing", () => {
  const cases: readonly (readonly [string, (each: World) => Promise<unknown>, string, RegExp])[] = [
    [
      "another activation",
      (each) => each.activate({ revision: 3 }),
      "stale",
      /rollout 1 of revision 2 runs at stage 1/,
    ],
    ["another rollout", (each) => each.begin("1,100%", { revision: 3 }), "stale", /--end-rollout/],
    ["the same again", (each) => each.activate({ revision: 2 }), "stale", /rollout 1 of revision 2 runs/],
    [
      "a rollback to what it brings",
      (each) => each.roller.rollback({ to: 2, reason: "", wait: false, waitTimeoutMs: 0 }, caller),
      "stale",
      /revision 2 is what rollout 1 brings/,
    ],
    ["resuming what runs", (each) => each.rollouts.resume(0, "", caller), "stale", /rollout 1 runs already/],
    ["pausing another one", (each) => each.rollouts.pause(7, "", caller), "stale", /rollout 7 does not run/],
    [
      "an epoch that is not the head",
      (each) => each.activate({ endRollout: true, expectedEpoch: 1 }),
      "conflict",
      /at epoch 2, not 1/,
    ],
  ];
  test.each(cases)("while a rollout runs: %s", async (_name, act, code, why) => {
    await world.begin();
    const before = [world.ledger.activations.list().length, world.ledger.rollouts.list().length];
    await expect(act(world)).rejects.toMatchObject({ code, message: expect.stringMatching(why) });
    expect([world.ledger.activations.list().length, world.ledger.rollouts.list().length]).toEqual(before);
  });

  test("stages without a law, a hold that never ends, a stage of nobody", async () => {
    const staged = { stages: parseStages("1,100%"), holdMs, gates: gatesDefault };
    for (const [wrong, code] of [
      [{ ...staged, stages: staged.stages.slice(0, 1) }, "invalid_argument"],
      [{ ...staged, holdMs: 1e12 }, "invalid_argument"],
      [{ ...staged, stages: parseStages("label:canary=true,100%") }, "stale"],
    ] as const) {
      await expect(world.activate({ staged: wrong })).rejects.toMatchObject({ code });
    }
    expect(world.ledger.rollouts.list()).toEqual([]);
    expect(world.head.epoch).toBe(1);
  });

  test("stages before anything is active, pausing when nothing runs, a rollout that never was", async () => {
    const fresh = new World();
    const next = signRevision(buildRevision(undefined), testMesh, signer);
    await fresh.ledger.revisions.append(next);
    await expect(fresh.begin("1,100%", { revision: 1 })).rejects.toMatchObject({ code: "stale" });
    expect(fresh.ledger.rollouts.list()).toEqual([]);
    await expect(world.rollouts.pause(0, "", caller)).rejects.toMatchObject({ code: "stale" });
    expect(() => world.rollouts.find(0)).toThrow("there was no rollout yet");
    fresh.fleet.loop.close();
  });

  test("a stage whose plan has not been read yet is told as none that runs, and not driven", async () => {
    await world.begin();
    const { rollout, ...rest } = world.head;
    if (rollout === undefined) throw new Error("no rollout");
    const body = {
      ...rest,
      epoch: 3,
      previous: world.ledger.activations.head()?.digest,
      rollout: { ...rollout, number: 2 },
    };
    await world.ledger.activations.append(signActivation(body, testMesh, signer));
    await world.hold(refusing);
    await world.drive();
    expect([world.head.epoch, world.rollouts.running()]).toEqual([3, undefined]);
  });

  test("a candidate that sends reads to another replica: no plan is written", async () => {
    const world = await new World().start();
    const change = { service: "ledger", base: "v2", candidate: "role=replica" };
    world.deps.affected.replicaChanges = async () => [change];
    await expect(world.begin()).rejects.toMatchObject({
      code: "stale",
      message: expect.stringMatching(
        /replica v2 and revision 2 to role=replica.*whose Journal of ledger has no `reads`/,
      ),
    });
    expect(world.ledger.rollouts.list()).toEqual([]);
  });

  test("a candidate that a proxy rejects: no plan is written", async () => {
    world.fleet.reject("p1", world.revisions[1] as Signed<Revision>, "unknown kind");
    await expect(world.begin()).rejects.toMatchObject({
      code: "stale",
      message: expect.stringMatching(/rejected by p1/),
    });
    expect(world.ledger.rollouts.list()).toEqual([]);
  });

  test("a rollout to what everyone outside the running one has", async () => {
    await world.begin();
    await expect(world.begin("1,100%", { revision: 1, endRollout: true })).rejects.toMatchObject({
      code: "stale",
      message: expect.stringMatching(/rollout abort/),
    });
    expect([world.head.epoch, world.ledger.rollouts.list().length]).toEqual([2, 1]);
  });

  test("--end-rollout lets an activation end it, for everyone or in stages of its own", async () => {
    await world.begin();
    const { activation } = await world.begin("2,100%", { revision: 3, endRollout: true });
    expect(activation.body.rollout).toMatchObject({ number: 2, base: { number: 1 } });
    expect(world.rollouts.find(1).state).toBe("replaced");
    await world.activate({ revision: 3, endRollout: true });
    expect(world.head).toMatchObject({ revisionNumber: 3, rollout: undefined });
    const back = await world.roller.rollback({ to: undefined, reason: "", wait: false, waitTimeoutMs: 0 }, caller);
    expect(back.activation.body.revisionNumber).toBe(1);
  });
});
