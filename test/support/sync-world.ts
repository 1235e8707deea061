/** A proxy's sync machine in a small simulated world, for property tests. */
import { expect } from "@jest/globals";
import fc from "fast-check";
import type { Activation, PreparedRevision, Signed } from "../../core/model.js";
import { revisionFor } from "../../core/rollout/cohort.js";
import type { SyncEffect, SyncEvent, SyncState } from "../../data-plane/sync/sync-model.js";
import { seenEpochOf, startSync, step } from "../../data-plane/sync/sync-state.js";

/** A log that answers reads, a disk that may fail, and a machine that may be restarted from that disk. */
export class World {
  readonly proxyId: string;
  readonly log: readonly Signed<Activation>[];
  state: SyncState;
  disk: readonly Signed<Activation>[] = [];
  lastGood: Signed<Activation> | undefined;
  diskFails = false;
  #queue: SyncEffect[] = [];
  #highest = 0;

  constructor(log: readonly Signed<Activation>[], proxyId = "payments-1") {
    this.log = log;
    this.proxyId = proxyId;
    this.state = this.start();
  }

  start(): SyncState {
    const prepared = this.lastGood ? [revisionFor(this.lastGood.body, this.proxyId)] : [];
    const first = startSync({
      proxyId: this.proxyId,
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

  /** Performs one waiting effect. Reads are answered from the log if `answers`, else they are lost. */
  perform(index: number, answers: boolean): void {
    const effect = this.#queue.splice(index % Math.max(1, this.#queue.length), 1)[0];
    if (effect === undefined) return;
    if (effect.kind === "save-floor") {
      if (!this.diskFails) this.disk = effect.activations;
      this.send(this.diskFails ? { kind: "floor-failed" } : { kind: "floor-saved", floor: effect.floor });
    } else if (effect.kind === "switch") {
      // I2: on disk before it is acted on
      expect(this.diskEpoch()).toBeGreaterThanOrEqual(effect.activation.body.epoch);
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

  /** Returns the revision that calls are judged by. */
  evaluated(): PreparedRevision | undefined {
    return this.state.evaluating && revisionFor(this.state.evaluating.body, this.proxyId);
  }

  diskEpoch(): number {
    return this.disk[0]?.body.epoch ?? 0;
  }

  check(): void {
    expect(this.diskEpoch()).toBeGreaterThanOrEqual(this.#highest); // I2: never lower, even after restarts
    this.#highest = this.diskEpoch();
    expect(seenEpochOf(this.state)).toBeGreaterThanOrEqual(this.#highest);
    const { evaluating } = this.state;
    if (evaluating === undefined) return;
    expect(this.state.prepared.map((one) => one.digest)).toContain(this.evaluated()?.digest);
    expect(evaluating.body.epoch).toBeLessThanOrEqual(seenEpochOf(this.state));
  }
}

export const actions = fc.array(
  fc.record({
    kind: fc.constantFrom("deliver", "perform", "perform", "lose", "restart", "disk", "retry", "order", "orders-over"),
    index: fc.nat(1000),
  }),
  { maxLength: 120 },
);

export function play(world: World, steps: readonly { readonly kind: string; readonly index: number }[]): void {
  for (const { kind, index } of steps) {
    const record = world.log[index % world.log.length];
    if (kind === "deliver" && record) world.send({ kind: "activation", record });
    if (kind === "order" && record) world.send({ kind: "ordered", revision: revisionFor(record.body, world.proxyId) });
    if (kind === "orders-over") world.send({ kind });
    if (kind === "perform") world.perform(0, true);
    if (kind === "lose") world.perform(0, false);
    if (kind === "restart") world.restart();
    if (kind === "disk") world.diskFails = index % 2 === 0;
    if (kind === "retry") world.send({ kind: "retry" });
  }
}
