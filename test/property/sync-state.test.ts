import { expect, test } from "@jest/globals";
import fc from "fast-check";
import type { Activation, Signed } from "../../core/model.js";
import { seenEpochOf } from "../../data-plane/sync/sync-state.js";
import { activation, activationChain } from "../data-plane/sync/records.js";
import { runs } from "../support/runs.js";
import { actions, play, World } from "../support/sync-world.js";

test("I2: any order, loss and duplication of deliveries, with restarts and a failing disk, ends on the highest valid epoch", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.nat(7), actions, (length, revisions, steps) => {
      const log = activationChain(length, (epoch) => (epoch % (revisions + 1)) + 1);
      const world = new World(log);
      play(world, steps);
      const head = log[log.length - 1] as Signed<Activation>;
      world.send({ kind: "activation", record: head });
      world.settle();
      expect(seenEpochOf(world.state)).toBe(length);
      expect(world.state.evaluating?.digest).toBe(head.digest);
      expect(world.disk.map((one) => one.digest)).toEqual([head.digest]);
    }),
    { numRuns: runs(200) },
  );
});

test("I2: equivocation anywhere in the log leaves the proxy on what it evaluated until a higher epoch, which cures it", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 20 }), fc.boolean(), actions, (length, first, steps) => {
      const chain = activationChain(length);
      const [before, left] = [chain[length - 2], chain[length - 1]] as [Signed<Activation>, Signed<Activation>];
      const right = activation(length, before, 99, "rival");
      const log = [...chain, right];
      const world = new World(log);
      play(world, steps);
      world.send({ kind: "activation", record: left });
      world.send({ kind: "activation", record: right });
      world.settle();
      expect(world.state.activations.heads).toHaveLength(2);
      const evaluated = world.state.evaluating?.digest;
      world.restart();
      world.settle();
      expect(world.state.evaluating?.digest).toBe(evaluated);

      const cure = activation(length + 1, first ? left : right, 1, "cure");
      world.send({ kind: "activation", record: cure });
      world.settle();
      expect(world.state.evaluating?.digest).toBe(cure.digest);
    }),
    { numRuns: runs(200) },
  );
});

test("a jump that names no record of the log is never adopted, whatever comes with it", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 100 }), actions, (length, ahead, steps) => {
      const log = activationChain(length);
      const stranger = activation(length + ahead, activation(length + ahead - 1, undefined, 1, "x"), 1, "jump");
      const world = new World(log);
      world.send({ kind: "activation", record: stranger });
      play(world, steps);
      world.send({ kind: "activation", record: stranger });
      world.send({ kind: "activation", record: log[log.length - 1] as Signed<Activation> });
      world.settle();
      expect(seenEpochOf(world.state)).toBe(length);
    }),
    { numRuns: runs(200) },
  );
});
