/** Proxies that follow a log with rollouts in it, each with losses and restarts of its own. */
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { digestOf } from "../../core/digest.js";
import type { Activation, Signed } from "../../core/model.js";
import { isInCohort, revisionFor, revisionInForce } from "../../core/rollout/cohort.js";
import type { Cohort } from "../../core/rollout/rollout-model.js";
import { seenEpochOf } from "../../data-plane/sync/sync-state.js";
import { activation, digest } from "../data-plane/sync/records.js";
import { runs } from "../support/runs.js";
import { actions, play, World } from "../support/sync-world.js";

const proxies = ["p1", "p2", "p3", "p4", "p5"];

/** What becomes of the log next: everyone to another revision, a rollout of one, its next stage, a pause, a rollback. */
const moves = fc.array(fc.constantFrom("activate", "begin", "grow", "grow", "pause", "back"), {
  minLength: 1,
  maxLength: 24,
});

function writeLog(steps: readonly string[]): Signed<Activation>[] {
  const log = [activation(1, undefined, 1)];
  let newest = 1;
  for (const move of steps) {
    const head = log[log.length - 1] as Signed<Activation>;
    const { rollout } = head.body;
    const running = rollout !== undefined && rollout.cohort.basisPoints < 10_000;
    if (move === "activate" || (move === "begin" && !running)) newest += 1;
    const next = activation(head.body.epoch + 1, head, newest, move);
    if (move === "activate") log.push(next);
    else if (move === "begin" && !running) log.push(staged(next, head, { basisPoints: 0, proxyIds: ["p1"] }));
    else if (running && move === "back") log.push(activation(next.body.epoch, head, rollout.base.number, move));
    else if (running) {
      const basisPoints = move === "pause" ? rollout.cohort.basisPoints : rollout.cohort.basisPoints + 2500;
      const proxyIds = [...new Set([...rollout.cohort.proxyIds, `p${Math.ceil(basisPoints / 2500)}`])].sort();
      log.push(staged(next, head, { basisPoints, proxyIds }, move === "pause"));
    }
  }
  return log;
}

function staged(
  next: Signed<Activation>,
  head: Signed<Activation>,
  cohort: Cohort,
  paused = false,
): Signed<Activation> {
  const before = head.body.rollout;
  const running = before !== undefined && before.cohort.basisPoints < 10_000;
  const plan = running ? before : { number: 1, digest: digest(`plan ${next.body.epoch}`), stage: 0 };
  const base = running ? before.base : revisionInForce(head.body);
  const rollout = { number: plan.number, digest: plan.digest, stage: plan.stage + 1, base, cohort, paused };
  const bytes = Buffer.concat([next.bytes, Buffer.from(JSON.stringify(rollout))]);
  return { ...next, body: { ...next.body, rollout }, bytes, digest: digestOf(bytes) };
}

test("I2, I7: any order, loss and duplication, with restarts and failing disks, leaves every proxy on what the head says for it", () => {
  fc.assert(
    fc.property(moves, fc.array(actions, { minLength: 5, maxLength: 5 }), (steps, lives) => {
      const log = relink(writeLog(steps));
      const head = log[log.length - 1] as Signed<Activation>;
      const worlds = proxies.map((id) => new World(log, id));
      for (const [index, world] of worlds.entries()) {
        play(world, lives[index] ?? []);
        world.send({ kind: "activation", record: head });
        world.settle();
        expect(seenEpochOf(world.state)).toBe(log.length);
        expect(world.state.evaluating?.digest).toBe(head.digest);
        expect(world.evaluated()).toEqual(revisionFor(head.body, world.proxyId));
      }
    }),
    { numRuns: runs(150) },
  );
});

test("base and candidate are both held while a rollout runs, so that neither the next stage nor a rollback needs a fetch", () => {
  fc.assert(
    fc.property(moves, fc.constantFrom(...proxies), actions, (steps, id, life) => {
      const log = relink(writeLog([...steps, "activate", "begin"]));
      const head = log[log.length - 1] as Signed<Activation>;
      const world = new World(log, id);
      play(world, life);
      world.send({ kind: "activation", record: head });
      world.settle();
      const held = world.state.prepared.map((one) => one.digest);
      if (head.body.rollout === undefined) return; // a rollout ran already, and "begin" did nothing
      expect(held).toEqual(expect.arrayContaining([head.body.revisionDigest, head.body.rollout.base.digest]));
    }),
    { numRuns: runs(150) },
  );
});

test("restarted with everything gone, a proxy evaluates what it did before, be it base or candidate", () => {
  fc.assert(
    fc.property(moves, fc.constantFrom(...proxies), actions, (steps, id, life) => {
      const log = relink(writeLog(steps));
      const world = new World(log, id);
      play(world, life);
      world.send({ kind: "activation", record: log[log.length - 1] as Signed<Activation> });
      world.settle();
      const before = world.evaluated();
      world.restart();
      expect(world.evaluated()).toEqual(before);
    }),
    { numRuns: runs(150) },
  );
});

test("from stage to stage nobody leaves the cohort", () => {
  fc.assert(
    fc.property(moves, (steps) => {
      const log = relink(writeLog(steps));
      for (const [index, { body }] of log.entries()) {
        const next = log[index + 1]?.body;
        if (body.rollout === undefined || next?.rollout?.digest !== body.rollout.digest) continue;
        for (const id of proxies) {
          if (isInCohort(body.rollout.cohort, body.rollout.digest, id))
            expect(isInCohort(next.rollout.cohort, next.rollout.digest, id)).toBe(true);
        }
      }
    }),
  );
});

/** Each record names the one before it. */
function relink(log: readonly Signed<Activation>[]): Signed<Activation>[] {
  const chain: Signed<Activation>[] = [];
  for (const record of log) {
    const previous = chain[chain.length - 1]?.digest;
    const body = { ...record.body, previous };
    const bytes = Buffer.concat([record.bytes, Buffer.from(`after ${previous}`)]);
    chain.push({ ...record, body, bytes, digest: digestOf(bytes) });
  }
  return chain;
}
