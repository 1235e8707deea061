import { describe, expect, test } from "@jest/globals";
import type { Activation, PreparedRevision, Signed } from "../../../core/model.js";
import type { SyncEffect, SyncEvent, SyncStart, SyncState } from "../../../data-plane/sync/sync-model.js";
import { currentRejection, syncProblems } from "../../../data-plane/sync/sync-problems.js";
import { floorOf, seenEpochOf, startSync, step, trustSequenceOf } from "../../../data-plane/sync/sync-state.js";
import { activation, activationChain, digest, revision, trust } from "./records.js";

const nothing: SyncStart = {
  proxyId: "payments-1",
  activations: [],
  trust: [],
  onDisk: false,
  trusting: undefined,
  evaluating: undefined,
  prepared: [],
  history: [],
};
const prepared = (number: number): PreparedRevision => ({ number, digest: digest(`revision ${number}`) });

/** Drives the machine: answers floors at once unless told otherwise, and keeps what else was asked for. */
class Driver {
  state: SyncState;
  effects: SyncEffect[] = [];
  diskWorks = true;

  constructor(start: SyncStart = nothing) {
    const first = startSync(start);
    this.state = first.state;
    this.take(first.effects);
  }

  send(...events: SyncEvent[]): SyncEffect[] {
    const from = this.effects.length;
    for (const event of events) {
      const next = step(this.state, event);
      this.state = next.state;
      this.take(next.effects);
    }
    return this.effects.slice(from);
  }

  activate(...records: Signed<Activation>[]): SyncEffect[] {
    return this.send(...records.map((record): SyncEvent => ({ kind: "activation", record })));
  }

  take(effects: readonly SyncEffect[]): void {
    for (const effect of effects) {
      this.effects.push(effect);
      if (effect.kind === "save-floor")
        this.send(this.diskWorks ? { kind: "floor-saved", floor: effect.floor } : { kind: "floor-failed" });
    }
  }

  get evaluating(): number {
    return this.state.evaluating?.body.epoch ?? 0;
  }
}

const kinds = (effects: readonly SyncEffect[]): string[] => effects.map((effect) => effect.kind);

describe("activations", () => {
  const [one, two, three] = activationChain(3) as [Signed<Activation>, Signed<Activation>, Signed<Activation>];

  test("I2: the floor is saved before the switch", () => {
    const driver = new Driver();
    driver.send({ kind: "prepared", revision: prepared(1) }, { kind: "revision", record: revision(1) });
    driver.send({ kind: "prepared", revision: prepared(1) });
    const effects = kinds(driver.activate(one));
    expect(effects.indexOf("save-floor")).toBeGreaterThanOrEqual(0);
    expect(effects.indexOf("switch")).toBeGreaterThan(effects.indexOf("save-floor"));
    expect(driver.evaluating).toBe(1);
  });

  test("I2: with a disk that cannot be written nothing is switched; once it can, it is", () => {
    const driver = new Driver();
    driver.activate(one);
    driver.send({ kind: "prepared", revision: prepared(1) });
    driver.diskWorks = false;
    driver.activate(two);
    driver.send({ kind: "prepared", revision: prepared(2) });
    expect([seenEpochOf(driver.state), driver.evaluating]).toEqual([2, 1]);
    driver.diskWorks = true;
    driver.send({ kind: "retry" });
    expect(driver.evaluating).toBe(2);
  });

  test("an activation whose revision is not prepared keeps the old one and asks for the new one", () => {
    const driver = new Driver();
    driver.activate(one);
    driver.send({ kind: "prepared", revision: prepared(1) });
    const effects = driver.activate(two);
    expect(effects).toContainEqual({ kind: "prepare", revision: prepared(2) });
    expect([seenEpochOf(driver.state), driver.evaluating]).toEqual([2, 1]);
    driver.send({ kind: "prepared", revision: prepared(2) });
    expect(driver.evaluating).toBe(2);
  });

  test("a gap is read by epoch, and a jump without its chain is refused", () => {
    const driver = new Driver();
    driver.activate(one);
    expect(driver.activate(three)).toContainEqual({
      kind: "read-range",
      log: "activations",
      range: { from: 2, to: 2 },
    });
    expect(seenEpochOf(driver.state)).toBe(1);
    driver.activate(two);
    driver.send({ kind: "range-read", log: "activations", range: { from: 2, to: 2 } });
    expect(seenEpochOf(driver.state)).toBe(3);

    const jump = activation(4, activation(3, undefined, 9, "nowhere"), 9);
    expect(driver.activate(jump)).toContainEqual({
      kind: "read-range",
      log: "activations",
      range: { from: 3, to: 3 },
    });
    const refused = driver.send({ kind: "range-read", log: "activations", range: { from: 3, to: 3 } });
    expect(refused).toContainEqual(
      expect.objectContaining({ kind: "alarm", message: expect.stringContaining("epoch 4 is refused") }),
    );
    expect(seenEpochOf(driver.state)).toBe(3);
    expect(driver.state.activations.waiting).toEqual([]);
  });

  test("a fast-forward to 2^53-1 reads a bounded range once and changes nothing", () => {
    const driver = new Driver();
    driver.activate(one);
    const far = activation(Number.MAX_SAFE_INTEGER, two, 9);
    expect(driver.activate(far, far)).toEqual([{ kind: "read-range", log: "activations", range: { from: 2, to: 33 } }]);
    expect(driver.send({ kind: "range-read", log: "activations", range: { from: 2, to: 33 } })).toEqual([]);
    expect(seenEpochOf(driver.state)).toBe(1);
    expect(syncProblems(driver.state)).toHaveLength(1);
    expect(kinds(driver.activate(two))).toContain("save-floor");
  });

  test("older and known activations change nothing", () => {
    const driver = new Driver();
    driver.activate(one, two);
    expect(driver.activate(one, two, one)).toEqual([]);
  });

  test("the head given at join is the base of the chain", () => {
    const chain = activationChain(9);
    const base = chain[6] as Signed<Activation>;
    const driver = new Driver({ ...nothing, activations: [base] });
    driver.send({ kind: "prepared", revision: prepared(7) });
    expect(driver.evaluating).toBe(7);
    driver.activate(...chain.slice(0, 6));
    expect(seenEpochOf(driver.state)).toBe(7);
    driver.activate(...chain.slice(7));
    expect(seenEpochOf(driver.state)).toBe(9);
  });

  test("a rejected revision is kept out, said, and not asked for again", () => {
    const driver = new Driver();
    driver.activate(one);
    driver.send({ kind: "prepared", revision: prepared(1) });
    driver.activate(two);
    const rejection = { ...prepared(2), reason: "unknown field 99" };
    const effects = driver.send({ kind: "rejected", rejection, final: true });
    expect(kinds(effects)).toEqual(["alarm", "report"]);
    expect(currentRejection(driver.state)).toMatchObject(rejection);
    expect(driver.send({ kind: "retry" })).toEqual([]);
    expect([seenEpochOf(driver.state), driver.evaluating]).toEqual([2, 1]);
    driver.activate(three);
    driver.send({ kind: "prepared", revision: prepared(3) });
    expect(currentRejection(driver.state)).toBeUndefined();
  });

  test("a revision with damaged bytes is said to be rejected and fetched again", () => {
    const driver = new Driver();
    driver.activate(one);
    const rejection = { ...prepared(1), reason: "the bytes do not have the digest" };
    expect(kinds(driver.send({ kind: "rejected", rejection, final: false }))).toEqual(["alarm", "report"]);
    expect(driver.send({ kind: "retry" })).toEqual([{ kind: "prepare", revision: prepared(1) }]);
    expect(driver.send({ kind: "rejected", rejection, final: false })).toEqual([]);
    driver.send({ kind: "retry" }, { kind: "prepared", revision: prepared(1) });
    expect([currentRejection(driver.state), driver.evaluating]).toEqual([undefined, 1]);
  });

  test("what could not be fetched is asked for again at the next retry", () => {
    const driver = new Driver();
    driver.activate(one);
    expect(driver.send({ kind: "prepare-failed", digest: prepared(1).digest })).toEqual([]);
    expect(driver.send({ kind: "retry" })).toEqual([{ kind: "prepare", revision: prepared(1) }]);
  });

  test("a rollback to a revision that was active switches without any fetch", () => {
    const driver = new Driver();
    driver.activate(one);
    driver.send({ kind: "prepared", revision: prepared(1) });
    driver.activate(two);
    driver.send({ kind: "prepared", revision: prepared(2) });
    const effects = kinds(driver.activate(activation(3, two, 1)));
    expect(effects).toContain("switch");
    expect(effects).not.toContain("prepare");
    expect(effects).not.toContain("read-range");
  });

  test("the last 8 active revisions stay prepared, others are dropped", () => {
    const driver = new Driver();
    const chain = activationChain(12);
    for (const record of chain) {
      driver.activate(record);
      driver.send({ kind: "prepared", revision: prepared(record.body.revisionNumber) });
    }
    expect(driver.state.prepared.map((one) => one.number)).toEqual([12, 11, 10, 9, 8, 7, 6, 5]);
    expect(driver.effects.filter((effect) => effect.kind === "drop")).toHaveLength(4);
  });

  test("published revisions are prepared one after the other, the newest first, and never more than 16", () => {
    const driver = new Driver();
    for (let number = 1; number <= 40; number += 1) {
      driver.send({ kind: "revision", record: revision(number) });
      const asked = driver.state.preparing.length;
      expect(asked).toBeLessThanOrEqual(1);
    }
    for (;;) {
      const [next] = driver.state.preparing;
      if (next === undefined) break;
      const number = [...Array(41).keys()].find((n) => prepared(n).digest === next) ?? 0;
      driver.send({ kind: "prepared", revision: prepared(number) });
    }
    expect(driver.state.prepared.length).toBeLessThanOrEqual(16);
    expect(driver.state.prepared.map((one) => one.number)).toContain(40);
  });

  test("what is ordered is prepared however old it is, kept while orders come, and dropped when they end", () => {
    const driver = new Driver();
    for (let number = 1; number <= 40; number += 1)
      driver.send({ kind: "revision", record: revision(number) }, { kind: "prepared", revision: prepared(number) });
    expect(driver.state.prepared).not.toContainEqual(prepared(1));
    const asked = driver.send({ kind: "ordered", revision: prepared(1) });
    expect(asked).toContainEqual({ kind: "prepare", revision: prepared(1) });
    driver.send({ kind: "prepared", revision: prepared(1) });
    expect(driver.send({ kind: "ordered", revision: prepared(1) }, { kind: "retry" })).toEqual([{ kind: "report" }]);
    expect(driver.state.prepared).toContainEqual(prepared(1));
    expect(driver.send({ kind: "orders-over" })).toEqual([{ kind: "drop", digest: prepared(1).digest }]);
    expect(driver.send({ kind: "orders-over" })).toEqual([]);
  });

  test("the last two ordered are kept, and one that is evaluated stays when orders end", () => {
    const driver = new Driver();
    for (const number of [1, 2, 3]) {
      driver.send({ kind: "ordered", revision: prepared(number) });
      driver.send({ kind: "prepared", revision: prepared(number) });
    }
    expect(driver.state.prepared.map(({ number }) => number)).toEqual([3, 2]);
    driver.activate(activation(1, undefined, 3));
    driver.send({ kind: "orders-over" });
    expect([driver.evaluating, driver.state.prepared]).toEqual([1, [prepared(3)]]);
  });

  test("why an ordered revision is rejected is told, although newer ones are prepared", () => {
    const driver = new Driver();
    driver.send({ kind: "revision", record: revision(40) }, { kind: "prepared", revision: prepared(40) });
    const rejection = { ...prepared(1), reason: "unknown field 9" };
    driver.send({ kind: "ordered", revision: prepared(1) }, { kind: "rejected", rejection, final: true });
    expect(currentRejection(driver.state)).toMatchObject(rejection);
    driver.send({ kind: "orders-over" });
    expect(currentRejection(driver.state)).toBeUndefined();
  });

  test("what has to be evaluated does not queue behind what was published", () => {
    const driver = new Driver();
    driver.send({ kind: "revision", record: revision(7) });
    expect(driver.activate(one)).toContainEqual({ kind: "prepare", revision: prepared(1) });
  });
});

describe("equivocation", () => {
  const [one] = activationChain(1) as [Signed<Activation>];
  const left = activation(2, one, 2, "left");
  const right = activation(2, one, 3, "right");

  test("keeps what is evaluated, adopts neither, alarms", () => {
    const driver = new Driver();
    driver.activate(one);
    driver.send({ kind: "prepared", revision: prepared(1) });
    const effects = driver.activate(left, right);
    expect(effects).toContainEqual(expect.objectContaining({ kind: "alarm" }));
    driver.send({ kind: "prepared", revision: prepared(2) }, { kind: "prepared", revision: prepared(3) });
    expect(driver.evaluating).toBe(1);
    expect(syncProblems(driver.state)[0]).toContain("equivocation");
  });

  test("a higher epoch whose previous names either of them cures it", () => {
    for (const named of [left, right]) {
      const driver = new Driver();
      driver.activate(one, left, right, activation(3, named, 1));
      driver.send({ kind: "prepared", revision: prepared(1) });
      expect([seenEpochOf(driver.state), driver.evaluating]).toEqual([3, 3]);
      expect(syncProblems(driver.state)).toEqual([]);
    }
  });

  test("a cure that names the record that was not seen makes it look for that one", () => {
    const driver = new Driver();
    driver.activate(one, left);
    const cure = activation(3, right, 1);
    expect(driver.activate(cure)).toContainEqual({
      kind: "read-range",
      log: "activations",
      range: { from: 2, to: 2 },
    });
    driver.activate(right);
    driver.send({ kind: "range-read", log: "activations", range: { from: 2, to: 2 } });
    expect(seenEpochOf(driver.state)).toBe(3);
  });

  test("survives a restart", () => {
    const driver = new Driver({ ...nothing, activations: [left, right], onDisk: true, evaluating: one });
    driver.send({ kind: "prepared", revision: prepared(2) });
    expect(driver.evaluating).toBe(0);
    expect(syncProblems(driver.state)[0]).toContain("equivocation");
  });
});

describe("restart", () => {
  const chain = activationChain(3) as [Signed<Activation>, Signed<Activation>, Signed<Activation>];

  test("I2: what is evaluated may be older than what was seen, and older heads are ignored", () => {
    const driver = new Driver({
      ...nothing,
      activations: [chain[2]],
      onDisk: true,
      evaluating: chain[0],
      prepared: [prepared(1)],
    });
    expect([seenEpochOf(driver.state), driver.evaluating]).toEqual([3, 1]);
    driver.activate(chain[1]);
    expect(seenEpochOf(driver.state)).toBe(3);
    driver.send({ kind: "prepared", revision: prepared(3) });
    expect(driver.evaluating).toBe(3);
  });

  test("a last good revision that is not prepared is not evaluated", () => {
    const driver = new Driver({ ...nothing, activations: [chain[2]], onDisk: true, evaluating: chain[0] });
    expect(driver.evaluating).toBe(0);
  });
});

describe("trust and freshness", () => {
  const first = trust(1, undefined);
  const second = trust(2, first, "", ["ab"]);

  test("I2: the trust sequence is saved before it is acted on and never goes back", () => {
    const driver = new Driver();
    driver.send({ kind: "trust", record: first });
    const effects = kinds(driver.send({ kind: "trust", record: second }));
    expect(effects.slice(0, 2)).toEqual(["save-floor", "trust-changed"]);
    expect(driver.send({ kind: "trust", record: first })).toEqual([]);
    expect(trustSequenceOf(driver.state)).toBe(2);
  });

  test("a trust record that takes a revocation back is refused", () => {
    const driver = new Driver();
    driver.send({ kind: "trust", record: first }, { kind: "trust", record: second });
    driver.send({ kind: "trust", record: trust(3, second, "forgets") });
    driver.send({ kind: "range-read", log: "trust", range: { from: 2, to: 2 } });
    expect(trustSequenceOf(driver.state)).toBe(2);
    expect(driver.effects).toContainEqual(
      expect.objectContaining({ kind: "alarm", message: expect.stringContaining("trust record 3 is refused") }),
    );
  });

  test("a freshness statement that is ahead makes it read exactly the logs it is behind in", () => {
    const driver = new Driver();
    driver.send({ kind: "trust", record: first });
    const freshness = {
      epoch: 4,
      activation: digest("head"),
      trustSequence: 1,
      revisionNumber: 2,
      issuedMs: 1,
      expiresMs: 2,
    };
    expect(driver.send({ kind: "freshness", freshness })).toEqual([
      { kind: "read-head", log: "activations" },
      { kind: "read-head", log: "revisions" },
    ]);
  });

  test("a hint only makes it look, and only if it is news", () => {
    const driver = new Driver();
    driver.activate(...activationChain(2));
    expect(driver.send({ kind: "epoch-hint", epoch: 2 })).toEqual([]);
    expect(driver.send({ kind: "epoch-hint", epoch: 99 })).toEqual([{ kind: "read-head", log: "activations" }]);
    expect(floorOf(driver.state).epoch).toBe(2);
  });
});
