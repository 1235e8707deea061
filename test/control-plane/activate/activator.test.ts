import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { createActivator } from "../../../control-plane/activate/activator.js";
import { commitActivation } from "../../../control-plane/activate/commit.js";
import { createPrepareOrders, unaskedMs } from "../../../control-plane/activate/prepare-orders.js";
import { createRollback } from "../../../control-plane/activate/rollback.js";
import type { AuditDraft } from "../../../control-plane/audit/audit-trail.js";
import { historyStack } from "../../../core/activation.js";
import type { Revision, Signed } from "../../../core/model.js";
import { publicKeyFromBytes } from "../../../core/signature.js";
import { verifyPrepareOrder } from "../../../core/wire/prepare-orders.js";
import { signActivation, signRevision } from "../../../core/wire/records.js";
import { prepareOrderSubject } from "../../../core/wire/subjects.js";
import { silentLogger } from "../../../runtime/log.js";
import { affects, everyCall } from "../../support/affected.js";
import { FakeFleet } from "../../support/fake-fleet.js";
import { ManualClock, settle } from "../../support/manual-clock.js";
import { PlainLedger } from "../../support/plain-ledger.js";
import { buildActivation, buildRevision, createTestKey, testAuthor, testMesh } from "../../support/records.js";
import { runs } from "../../support/runs.js";

const { signer, publicKey } = createTestKey();
const keys = new Map([[signer.kid, publicKeyFromBytes(publicKey)]]);
const caller = { id: testAuthor, source: "127.0.0.1:5000" };

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
    affected: affects(everyCall),
    audit: { record: async (draft: AuditDraft) => void this.entries.push(draft) },
    clock: this.clock,
  };
  /** The revisions that proxies are asked to prepare, in the order of asking. */
  readonly asked: number[] = [];
  readonly #bus = {
    publish: (subject: string, bytes: Uint8Array) => {
      expect(subject).toBe(prepareOrderSubject);
      const { body } = verifyPrepareOrder(bytes, testMesh, keys);
      expect(body.issuedMs).toBe(this.clock.nowMs());
      this.asked.push(body.revision.number);
      return true;
    },
  };
  readonly activator = createActivator({
    ...this.deps,
    orders: createPrepareOrders({ ...this.deps, bus: this.#bus, log: silentLogger }),
  });
  readonly roller = createRollback(this.deps);

  async publish(count = 1): Promise<Signed<Revision>> {
    for (let made = 0; made < count; made += 1) {
      const head = this.ledger.revisions.head();
      const body = buildRevision(head, `change ${(head?.body.number ?? 0) + 1}`);
      await this.ledger.revisions.append(signRevision(body, testMesh, signer));
    }
    const head = this.ledger.revisions.head();
    if (head === undefined) throw new Error("nothing was published");
    return head;
  }

  activate(revision: number, parts: { force?: boolean; thresholdPercent?: number; prepareTimeoutMs?: number } = {}) {
    return this.activator.activate(
      { revision, reason: "", force: false, thresholdPercent: 0, prepareTimeoutMs: 0, ...parts },
      caller,
    );
  }

  rollback(to?: number, wait = false) {
    return this.roller.rollback({ to, reason: "bad", wait, waitTimeoutMs: 0 }, caller);
  }

  /** Somebody else's activation of `revision`, past the activator. */
  async activateElsewhere(revision: Signed<Revision>): Promise<void> {
    const head = this.ledger.activations.head();
    await this.ledger.activations.append(signActivation(buildActivation(head, revision), testMesh, signer));
  }
}

/** The outcome of a promise without waiting for it longer than everything that can run now. */
async function outcomeOf(promise: Promise<unknown>): Promise<string> {
  let outcome = "waiting";
  promise.then(
    () => {
      outcome = "done";
    },
    (error: Error & { code?: string }) => {
      outcome = `${error.code}: ${error.message}`;
    },
  );
  await settle();
  return outcome;
}

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.fleet.loop.close());

describe("activating a revision", () => {
  test("with no live proxies there is nothing to wait for", async () => {
    await world.publish();
    const { activation, created } = await world.activate(1);
    expect([created, activation.body.epoch, activation.body.revisionNumber]).toEqual([true, 1, 1]);
    expect(world.entries).toMatchObject([
      { action: "activate", target: "revision 1", outcome: "ok", detail: "epoch 1" },
    ]);
  });

  test("it waits until every live proxy has prepared it, and is woken by the last one's heartbeat", async () => {
    const revision = await world.publish();
    world.fleet.say("a");
    world.fleet.say("b");
    const activating = world.activate(1);
    expect(await outcomeOf(activating)).toBe("waiting");
    world.fleet.prepare("a", [revision]);
    expect(await outcomeOf(activating)).toBe("waiting");
    world.fleet.prepare("b", [revision]);
    expect(await outcomeOf(activating)).toBe("done");
    expect((await activating).tookMs).toBe(0); // the clock never moved: nothing was polled
  });

  test("a proxy that joins meanwhile is waited for, one that leaves or falls silent is not", async () => {
    const revision = await world.publish();
    world.fleet.say("a");
    world.fleet.say("silent");
    const activating = world.activate(1);
    world.fleet.say("late");
    world.fleet.prepare("a", [revision]);
    expect(await outcomeOf(activating)).toBe("waiting");
    world.fleet.say("late", { leaving: true });
    expect(await outcomeOf(activating)).toBe("waiting");
    await world.clock.advance(9_000);
    world.fleet.prepare("a", [revision]);
    await world.clock.advance(1_100);
    expect(await outcomeOf(activating)).toBe("done");
  });

  test("after the timeout it says who has not prepared, and appends nothing", async () => {
    const revision = await world.publish();
    world.fleet.prepare("a", [revision]);
    world.fleet.say("b", { service: "cart" });
    const activating = world.activate(1, { prepareTimeoutMs: 5000 });
    await outcomeOf(activating);
    await world.clock.advance(5000);
    expect(await outcomeOf(activating)).toBe(
      "stale: revision 1 was not activated: after 5000 ms, 1 of 2 live proxies have not prepared it: b (cart); wait, or use --threshold or --force",
    );
    expect(world.ledger.activations.head()).toBeUndefined();
    expect(world.entries).toMatchObject([{ action: "activate", outcome: "stale" }]);
  });

  test("proxies are asked at once for one that they no longer hold, again every 3 s, and no more once it is active", async () => {
    const revisions = [];
    for (let number = 1; number <= 9; number++) revisions.push(await world.publish());
    world.fleet.prepare("a", revisions.slice(1));
    const activating = world.activate(1);
    expect(await outcomeOf(activating)).toBe("waiting");
    expect(world.asked).toEqual([1]);
    await world.clock.advance(6000);
    expect(world.asked).toEqual([1, 1, 1]);
    world.fleet.prepare("a", revisions);
    expect(await outcomeOf(activating)).toBe("done");
    await world.clock.advance(10_000);
    expect(world.asked).toEqual([1, 1, 1]);
  });

  test("for one of the newest they are asked only if they do not prepare it by themselves", async () => {
    const revision = await world.publish();
    world.fleet.say("a");
    const activating = world.activate(1);
    await outcomeOf(activating);
    await world.clock.advance(unaskedMs - 1);
    expect(world.asked).toEqual([]);
    await world.clock.advance(1);
    expect(world.asked).toEqual([1]);
    world.fleet.prepare("a", [revision]);
    expect(await outcomeOf(activating)).toBe("done");
  });

  test("proxies that cannot be asked, since they are of an earlier version, are named with what puts it in force", async () => {
    await world.publish(9);
    world.fleet.say("old");
    const activating = world.activate(1, { prepareTimeoutMs: 5000 });
    await outcomeOf(activating);
    await world.clock.advance(5000);
    expect(await outcomeOf(activating)).toMatch(
      /have not prepared it: old \(payments\); proxies of an earlier version hold .* update them, wait, or use --threshold or --force, or `ashlar rollback --to 1`$/,
    );
  });

  test("one that was active lately is waited for, however many were published since", async () => {
    world.fleet.prepare("a", [await world.publish()]);
    expect(await outcomeOf(world.activate(1))).toBe("done");
    const revisions = [];
    for (let number = 2; number <= 12; number++) revisions.push(await world.publish());
    world.fleet.prepare("a", revisions);
    expect(await outcomeOf(world.activate(12))).toBe("done");
    expect(await outcomeOf(world.activate(1))).toBe("waiting");
  });

  test("a proxy that rejects it ends the wait at once, with its reason", async () => {
    const revision = await world.publish();
    world.fleet.say("a");
    const activating = world.activate(1);
    await outcomeOf(activating);
    world.fleet.reject("a", revision, "unknown field 9");
    expect(await outcomeOf(activating)).toContain("rejected by a (payments): unknown field 9");
  });

  for (const [name, parts, expected] of [
    ["a threshold lets the rest be unprepared", { thresholdPercent: 50 }, { forced: false, thresholdPercent: 50 }],
    ["force waits for no one", { force: true }, { forced: true, thresholdPercent: 0 }],
  ] as const) {
    test(`${name}, and is recorded`, async () => {
      const revision = await world.publish();
      world.fleet.prepare("a", [revision]);
      world.fleet.reject("b", revision, "bad");
      const { activation } = await world.activate(1, parts);
      expect(activation.body).toMatchObject(expected);
    });
  }

  test("a revision that is active already is answered with its activation and nothing is appended", async () => {
    await world.publish();
    await world.activate(1);
    const { created, activation } = await world.activate(1);
    expect([created, activation.body.epoch, world.ledger.activations.list().length]).toEqual([false, 1, 1]);
  });

  test("an unknown revision is not found, and the error names the newest", async () => {
    await expect(world.activate(7)).rejects.toMatchObject({
      code: "not_found",
      message: expect.stringContaining("nothing has been published"),
    });
    await world.publish(2);
    await expect(world.activate(7)).rejects.toMatchObject({
      code: "not_found",
      message: expect.stringContaining("newest is 2"),
    });
  });

  for (const [field, parts] of [
    ["threshold_percent", { thresholdPercent: 101 }],
    ["prepare_timeout_ms", { prepareTimeoutMs: 3_600_001 }],
  ] as const) {
    test(`${field} out of bounds is an invalid argument`, async () => {
      await world.publish();
      await expect(world.activate(1, parts)).rejects.toMatchObject({
        code: "invalid_argument",
        message: expect.stringContaining(field),
      });
    });
  }

  test("who activates while another waits makes the waiting one lose, before and at the append", async () => {
    const revision = await world.publish();
    await world.publish();
    world.fleet.say("a");
    const waiting = world.activate(1);
    await outcomeOf(waiting);
    await world.activateElsewhere(revision);
    world.fleet.prepare("a", [revision]);
    expect(await outcomeOf(waiting)).toContain("conflict: somebody else was first: the activation log is at epoch 1");
    world.ledger.activations.beforeAppend = () => world.activateElsewhere(revision);
    await expect(world.activate(2, { force: true })).rejects.toMatchObject({ code: "conflict" });
  });

  test("a caller that goes away stops the wait and activates nothing", async () => {
    const revision = await world.publish();
    world.fleet.say("a");
    const gone = new AbortController();
    const options = { revision: 1, reason: "", force: false, thresholdPercent: 0, prepareTimeoutMs: 0 };
    const activating = world.activator.activate(options, caller, gone.signal);
    expect(await outcomeOf(activating)).toBe("waiting");
    gone.abort();
    expect(await outcomeOf(activating)).toContain("unavailable");
    world.fleet.prepare("a", [revision]);
    expect(world.ledger.activations.head()).toBeUndefined();
  });
});

describe("rolling back", () => {
  test("it is a new epoch of the revision before, and waits for no one to prepare", async () => {
    await world.publish(2);
    await world.activate(1);
    await world.activate(2);
    world.fleet.say("a"); // has prepared nothing
    const { activation, behind } = await world.rollback();
    expect(activation.body).toMatchObject({ epoch: 3, revisionNumber: 1, rollbackOf: 2, reason: "bad" });
    expect(behind).toEqual([]);
    expect(world.entries.at(-1)).toMatchObject({
      action: "rollback",
      target: "revision 1",
      detail: "epoch 3, from revision 2: bad",
    });
  });

  for (const [name, activations, to, code, words] of [
    ["nothing is active", [], undefined, "stale", "no revision has been activated yet"],
    ["nothing was active before", [1], undefined, "stale", "no revision was active before revision 1"],
    ["the target is active", [1, 2], 2, "stale", "revision 2 is active already"],
    ["the target was never published", [1, 2], 9, "not_found", "there is no revision 9; the newest is 3"],
  ] as const) {
    test(`it is refused when ${name}`, async () => {
      await world.publish(3);
      for (const revision of activations) await world.activate(revision);
      await expect(world.rollback(to)).rejects.toMatchObject({ code, message: expect.stringContaining(words) });
    });
  }

  test("somebody who was first makes it a conflict", async () => {
    await world.publish(2);
    await world.activate(1);
    await world.activate(2);
    const first = world.ledger.revisions.find(1);
    world.ledger.activations.beforeAppend = () => first && world.activateElsewhere(first);
    await expect(world.rollback()).rejects.toMatchObject({ code: "conflict" });
  });

  test("with wait it ends when the last live proxy evaluates the new epoch, and measures until then", async () => {
    await world.publish(2);
    await world.activate(1);
    await world.activate(2);
    for (const id of ["a", "b"]) world.fleet.say(id, { evaluatingEpoch: 2 });
    const rolling = world.rollback(undefined, true);
    expect(await outcomeOf(rolling)).toBe("waiting");
    await world.clock.advance(7);
    world.fleet.say("a", { evaluatingEpoch: 3, evaluatingDigest: world.ledger.revisions.find(1)?.digest });
    world.fleet.say("b", { evaluatingEpoch: 2, seenEpoch: 3 }); // I7: having seen is not evaluating
    expect(await outcomeOf(rolling)).toBe("waiting");
    await world.clock.advance(5);
    world.fleet.say("b", { evaluatingEpoch: 3, evaluatingDigest: world.ledger.revisions.find(1)?.digest });
    expect(await outcomeOf(rolling)).toBe("done");
    expect(await rolling).toMatchObject({ tookMs: 12, behind: [] });
  });

  test("with wait it names the live proxies that did not report in time", async () => {
    await world.publish(2);
    await world.activate(1);
    await world.activate(2);
    for (const id of ["a", "b"]) world.fleet.say(id, { evaluatingEpoch: 2 });
    const rolling = world.rollback(undefined, true);
    await settle();
    for (let second = 0; second < 30; second += 5) {
      world.fleet.say("a", { evaluatingEpoch: 3, evaluatingDigest: world.ledger.revisions.find(1)?.digest });
      world.fleet.say("b", { evaluatingEpoch: 2 });
      await world.clock.advance(5000);
    }
    expect(await rolling).toMatchObject({ tookMs: 30_000, behind: ["b"] });
  });

  test("history is a stack whatever is activated and rolled back, and epochs only grow (I2)", async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("activate" as const), revision: fc.integer({ min: 1, max: 4 }) }),
      fc.record({
        kind: fc.constant("rollback" as const),
        to: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const one = new World();
        await one.publish(4);
        let stack: number[] = [];
        for (const each of steps) {
          const active = stack.at(-1);
          if (each.kind === "activate") {
            const { created } = await one.activate(each.revision);
            expect(created).toBe(each.revision !== active);
            if (created) stack.push(each.revision);
            continue;
          }
          const target = each.to ?? stack.at(-2);
          const possible = active !== undefined && target !== undefined && target !== active && target <= 4;
          const rolled = await one.rollback(each.to).catch(() => undefined);
          expect(rolled?.activation.body.revisionNumber).toBe(possible ? target : undefined);
          if (!possible) continue;
          const at = stack.lastIndexOf(target);
          stack = at >= 0 ? stack.slice(0, at + 1) : [...stack, target];
        }
        const log = one.ledger.activations.list().map(({ body }) => body);
        expect(log.map(({ epoch }) => epoch)).toEqual(log.map((_, index) => index + 1));
        expect(historyStack(log)).toEqual(stack);
        one.fleet.loop.close();
      }),
      { numRuns: runs(60) },
    );
  });
});

test("an epoch that another control plane signs while this one waits for its log ends as a conflict", async () => {
  const world = new World();
  const revision = await world.publish();
  const beforeSigning = () => world.activateElsewhere(revision);
  const { body } = signActivation(buildActivation(undefined, revision), testMesh, signer);
  await expect(commitActivation({ ...world.deps, beforeSigning }, undefined, body)).rejects.toMatchObject({
    code: "conflict",
    message: expect.stringContaining("somebody else was first: the activation log is at epoch 1"),
  });
});
