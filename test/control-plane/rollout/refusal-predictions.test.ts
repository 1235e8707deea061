import { describe, expect, test } from "@jest/globals";
import { createRefusalPredictions } from "../../../control-plane/rollout/refusal-predictions.js";
import {
  type DecisionBatch,
  type DecisionRecord,
  noInputs,
  renderDecisionId,
} from "../../../core/decision/decision-record.js";
import { AshlarError } from "../../../core/errors.js";
import { buildSpiffeId } from "../../../core/identity.js";
import type { Revision, Signed } from "../../../core/model.js";
import { gatesDefault } from "../../../core/rollout/gates.js";
import { parseStages } from "../../../core/rollout/stages.js";
import { unitsOf } from "../../../core/snapshot/build.js";
import { parsePolicyFiles } from "../../../core/snapshot/parse-files.js";
import { signRevision } from "../../../core/wire/records.js";
import { signRollout } from "../../../core/wire/rollouts.js";
import { silentLogger } from "../../../runtime/log.js";
import { ManualClock } from "../../support/manual-clock.js";
import { buildRevision, createTestKey, testAuthor, testMesh } from "../../support/records.js";

const { signer } = createTestKey();
const beganMs = 1_700_000_000_000;
const minute = 60_000;
const onlyFront = `kind: Service
name: echo
---
kind: Authorization
name: front-calls
service: echo
allow:
  - from: [front]
`;
const units = unitsOf(parsePolicyFiles([{ name: "p.yaml", content: onlyFront }]).objects.map(({ object }) => object));

const first = signRevision(buildRevision(undefined, "one"), testMesh, signer);
const candidate = signRevision(buildRevision(first, "two"), testMesh, signer);
const ref = ({ body, digest }: Signed<Revision>) => ({ number: body.number, digest });
const plan = signRollout(
  {
    number: 1,
    previous: undefined,
    candidate: ref(candidate),
    base: ref(first),
    stages: parseStages("1,100%"),
    holdMs: 1,
    gates: { ...gatesDefault, predicted: true },
    author: testAuthor,
    reason: "",
    timeMs: beganMs,
  },
  testMesh,
  signer,
);

const allowed = (from: string, timeMs: number, parts: Partial<DecisionRecord> = {}): DecisionRecord => ({
  id: renderDecisionId(timeMs, 0, 0),
  direction: "inbound",
  service: "echo",
  caller: buildSpiffeId(testMesh, "service", from),
  method: "s.S/M",
  verdict: "allowed",
  rule: "any",
  revision: 1,
  epoch: 1,
  timeMs,
  inputs: noInputs,
  routing: undefined,
  version: "",
  limits: [],
  closed: false,
  shadow: false,
  ...parts,
});
const batchOf = (decisions: readonly DecisionRecord[]): DecisionBatch => ({
  service: "echo",
  proxyId: "p1",
  share: 1,
  dropped: 0,
  counted: [],
  decisions,
});
const several = (count: number, from: string, timeMs: number, parts: Partial<DecisionRecord> = {}) =>
  Array.from({ length: count }, () => allowed(from, timeMs, parts));

class World {
  readonly clock = new ManualClock();
  readonly asked: number[] = [];
  batches: DecisionBatch[] = [];
  failing = false;
  readonly predictions = createRefusalPredictions({
    mesh: testMesh,
    ledger: { revisions: { find: (number: number) => [first, candidate][number - 1] } as never },
    snapshots: { loadUnit: async (_digest, name) => units.find((unit) => unit.name === name) },
    decisions: { list: (sinceMs) => this.list(sinceMs) },
    clock: this.clock,
    log: silentLogger,
  });

  async *list(sinceMs: number): AsyncGenerator<DecisionBatch, void, undefined> {
    this.asked.push(sinceMs);
    if (this.failing) throw new AshlarError("unavailable", "NATS is away");
    for (const batch of this.batches) {
      const decisions = batch.decisions.filter(({ timeMs }) => timeMs >= sinceMs);
      if (decisions.length > 0) yield { ...batch, decisions };
    }
  }

  async predict(service = "echo"): Promise<number | undefined> {
    await this.predictions.prepare(plan);
    return this.predictions.of(plan)?.(service);
  }
}

describe("predicted refusals", () => {
  test("are the share that the candidate would refuse of what was decided before the rollout, and are worked out once", async () => {
    const world = new World();
    const before = beganMs - 20 * minute;
    world.batches = [batchOf([...several(75, "front", before), ...several(25, "cart", before)])];
    expect(await world.predict()).toBeCloseTo(0.25);
    expect(world.asked).toEqual([beganMs - 5 * minute, beganMs - 60 * minute]);
    await world.predictions.prepare(plan);
    expect(world.asked).toHaveLength(2);
  });

  test("are of the calls that evidence is of, where it is of some: by caller and method", async () => {
    const world = new World();
    const before = beganMs - 20 * minute;
    world.batches = [batchOf([...several(75, "front", before), ...several(25, "cart", before)])];
    await world.predict();
    const share = world.predictions.of(plan);
    const calls = { side: "destination", service: "echo", methods: ["*"], isNew: false } as const;
    expect(share?.("echo", { ...calls, callers: ["cart"] })).toBe(1);
    expect(share?.("echo", { ...calls, callers: ["front"] })).toBe(0);
    expect(share?.("echo", { ...calls, callers: undefined })).toBeCloseTo(0.25);
    expect(share?.("echo", { ...calls, callers: ["cart"], methods: ["s.S/Other"] })).toBeUndefined();
  });

  test("go by the last minutes where those have enough, and never by what the candidate itself did", async () => {
    const world = new World();
    world.batches = [
      batchOf(several(500, "cart", beganMs - 30 * minute)),
      batchOf([...several(900, "front", beganMs - minute), ...several(100, "cart", beganMs - minute)]),
      batchOf(several(500, "cart", beganMs + 1, { verdict: "denied", rule: "default-deny" })),
    ];
    expect(await world.predict()).toBeCloseTo(0.1);
    expect(world.asked).toHaveLength(1);
  });

  test("are none for a service of which little is recorded, or of what a shadow decided", async () => {
    const world = new World();
    world.batches = [
      batchOf([...several(19, "cart", beganMs - 1), ...several(100, "cart", beganMs - 1, { shadow: true })]),
    ];
    expect(await world.predict()).toBeUndefined();
    expect(world.predictions.of(plan)).toBeDefined();
  });

  test("that cannot be read are none, and are tried again", async () => {
    const world = new World();
    world.batches = [batchOf(several(100, "cart", beganMs - 1))];
    world.failing = true;
    expect(await world.predict()).toBeUndefined();
    expect(world.predictions.of(plan)).toBeUndefined();
    world.failing = false;
    expect(await world.predict()).toBe(1);
  });

  test("are told from a bounded number of decisions", async () => {
    const world = new World();
    world.batches = Array.from({ length: 30 }, (_, index) =>
      batchOf(several(1000, index < 10 ? "front" : "cart", beganMs - 1)),
    );
    expect(await world.predict()).toBe(0);
  });
});
