import { expect, test } from "@jest/globals";
import fc from "fast-check";
import type { Activation, Signed } from "../../core/model.js";
import type { SyncEffect, SyncEvent, SyncState } from "../../data-plane/sync/sync-model.js";
import { seenEpochOf, startSync, step } from "../../data-plane/sync/sync-state.js";
import { activation, activationChain } from "../data-plane/sync/records.js";

/** A log that answers reads, a disk that may fail, and a machine that may be restarted from that disk. */
class World {
  readonly log: readonly Signed<Activation>[];
  state: SyncState;
  disk: readonly Signed<Activation>[] = [];
  lastGood: Signed<Activation> | undefined;
  diskFails = false;
  #queue: SyncEffect[] = [];
  #highest = 0;

  constructor(log: readonly Signed<Activation>[]) {
    this.log = log;
    this.state = this.start();
  }

  start(): SyncState {
    const prepared = this.lastGood
      ? [{ number: this.lastGood.body.revisionNumber, digest: this.lastGood.body.revisionDigest }]
      : [];
    const first = startSync({
      activations: this.disk,
      trust: [],
      onDisk: true,
      trusting: undefined,
      evaluating: this.lastGood,
      prepared,
      history: prepared,
    });
    this.state = first.state;
    this.#queue = [...first.effects];
    return first.state;
  }

  restart(): void {
    this.start();
    this.check();
  }

  send(event: SyncEvent): void {
    const next = step(this.state, event);
    this.state = next.state;
    this.#queue.push(...next.effects);
    this.check();
  }

  /** Performs one effect that is waiting; reads are answered from the log, or lost. */
  perform(index: number, answers: boolean): void {
    const effect = this.#queue.splice(index % Math.max(1, this.#queue.length), 1)[0];
    if (effect === undefined) return;
    if (effect.kind === "save-floor") {
      if (!this.diskFails) this.disk = effect.activations;
      this.send(this.diskFails ? { kind: "floor-failed" } : { kind: "floor-saved", floor: effect.floor });
    } else if (effect.kind === "switch") {
      expect(this.diskEpoch()).toBeGreaterThanOrEqual(effect.activation.body.epoch); // I2: on disk before it is acted on
      this.lastGood = effect.activation;
    } else if (effect.kind === "prepare") {
      this.send(
        answers
          ? { kind: "prepared", revision: effect.revision }
          : { kind: "prepare-failed", digest: effect.revision.digest },
      );
    } else if (effect.kind === "read-range") {
      const { from, to } = effect.range;
      const found = this.log.filter(({ body }) => body.epoch >= from && body.epoch <= to);
      if (answers) for (const record of found) this.send({ kind: "activation", record });
      this.send({ kind: "range-read", log: effect.log, range: effect.range });
    }
  }

  settle(): void {
    this.diskFails = false;
    for (let round = 0; round < 6; round += 1) {
      this.send({ kind: "retry" });
      while (this.#queue.length > 0) this.perform(0, true);
    }
  }

  diskEpoch(): number {
    return this.disk[0]?.body.epoch ?? 0;
  }

  check(): void {
    expect(this.diskEpoch()).toBeGreaterThanOrEqual(this.#highest); // I2: never back, restarts included
    this.#highest = this.diskEpoch();
    expect(seenEpochOf(this.state)).toBeGreaterThanOrEqual(this.#highest);
    const { evaluating } = this.state;
    if (evaluating === undefined) return;
    expect(this.state.prepared.map((one) => one.digest)).toContain(evaluating.body.revisionDigest);
    expect(evaluating.body.epoch).toBeLessThanOrEqual(seenEpochOf(this.state));
  }
}

const actions = fc.array(
  fc.record({
    kind: fc.constantFrom("deliver", "perform", "perform", "lose", "restart", "disk", "retry"),
    index: fc.nat(1000),
  }),
  { maxLength: 120 },
);

function play(world: World, steps: readonly { readonly kind: string; readonly index: number }[]): void {
  for (const { kind, index } of steps) {
    const record = world.log[index % world.log.length];
    if (kind === "deliver" && record) world.send({ kind: "activation", record });
    if (kind === "perform") world.perform(0, true);
    if (kind === "lose") world.perform(0, false);
    if (kind === "restart") world.restart();
    if (kind === "disk") world.diskFails = index % 2 === 0;
    if (kind === "retry") world.send({ kind: "retry" });
  }
}

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
    { numRuns: 200 },
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
    { numRuns: 200 },
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
    { numRuns: 200 },
  );
});
