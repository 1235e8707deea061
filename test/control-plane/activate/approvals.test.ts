import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { createActivator } from "../../../control-plane/activate/activator.js";
import { createApprovals } from "../../../control-plane/activate/approvals.js";
import { createRollback } from "../../../control-plane/activate/rollback.js";
import type { AuditDraft } from "../../../control-plane/audit/audit-trail.js";
import { buildSpiffeId } from "../../../core/identity.js";
import { gatesDefault } from "../../../core/rollout/gates.js";
import { parseStages } from "../../../core/rollout/stages.js";
import { signApproval } from "../../../core/wire/approval.js";
import { signRevision, signTrust } from "../../../core/wire/records.js";
import { affects, everyCall } from "../../support/affected.js";
import { FakeFleet } from "../../support/fake-fleet.js";
import { ManualClock } from "../../support/manual-clock.js";
import { noOrders } from "../../support/no-orders.js";
import { PlainLedger } from "../../support/plain-ledger.js";
import { buildRevision, buildTrust, createTestKey, testAuthor, testMesh } from "../../support/records.js";

const key = createTestKey();
const operator = (name: string) => ({ id: buildSpiffeId(testMesh, "operator", name), source: "10.0.0.1:5000" });
const [ann, bob] = [operator("ann"), operator("bob")];
const author = { id: testAuthor, source: "10.0.0.9:5000" };

class World {
  readonly clock = new ManualClock();
  readonly ledger = new PlainLedger();
  readonly fleet = new FakeFleet(this.clock);
  readonly drafts: AuditDraft[] = [];
  readonly auditLog = {
    list: async () => ({
      entries: this.drafts.map((draft, at) => ({
        ...draft,
        sequence: at + 1,
        previous: undefined,
        timeMs: at,
        id: "",
      })),
      chainHolds: true,
    }),
  };
  readonly base = {
    mesh: testMesh,
    ledger: this.ledger,
    fleet: this.fleet.loop,
    signer: key.signer,
    clock: this.clock,
    affected: affects(everyCall),
    audit: { record: async (draft: AuditDraft) => void this.drafts.push(draft) },
    auditLog: this.auditLog,
  };
  readonly approvals = createApprovals(this.base, 2);
  readonly deps = { ...this.base, approvals: this.approvals };
  readonly activator = createActivator({ ...this.deps, orders: noOrders });
  readonly roller = createRollback(this.deps);

  async start(): Promise<this> {
    await this.ledger.trust.append(signTrust(buildTrust([key]), testMesh, key.signer));
    for (let made = 0; made < 3; made += 1) {
      const body = buildRevision(this.ledger.revisions.head(), `change ${made}`);
      await this.ledger.revisions.append(signRevision(body, testMesh, key.signer));
    }
    return this;
  }

  activate(revision: number, parts: { force?: boolean; stages?: string } = {}) {
    const { force = false, stages } = parts;
    const staged = stages === undefined ? undefined : { stages: parseStages(stages), holdMs: 1, gates: gatesDefault };
    const options = { revision, reason: "", force, thresholdPercent: 0, prepareTimeoutMs: 0, staged };
    return this.activator.activate(options, author);
  }

  async approve(revision: number): Promise<void> {
    for (const by of [ann, bob]) await this.approvals.approve(revision, "fine", by);
  }

  rollback(to?: number) {
    return this.roller.rollback({ to, reason: "", wait: false, waitTimeoutMs: 0 }, author);
  }

  digest(number: number) {
    const digest = this.ledger.revisions.find(number)?.digest;
    if (digest === undefined) throw new Error("no such revision");
    return digest;
  }
}

let world: World;
beforeEach(async () => {
  world = await new World().start();
});
afterEach(() => world.fleet.loop.close());
const denied = { code: "denied" };

test("a revision becomes active with the approvals of as many others as are asked for, and not with --force before", async () => {
  await expect(world.activate(1)).rejects.toThrow(/revision 1 has 0 of 2 approvals: operators other than/);
  await expect(world.activate(1, { force: true })).rejects.toMatchObject(denied);
  expect(await world.approvals.approve(1, "read it", ann)).toMatchObject({ created: true });
  await expect(world.activate(1)).rejects.toThrow(/1 of 2 approvals \(by .*operator\/ann\)/);
  expect(await world.approvals.approve(1, "again", ann)).toMatchObject({
    created: false,
    approvals: [{ operator: ann.id, reason: "read it" }],
  });
  await expect(world.activate(1)).rejects.toMatchObject(denied);
  expect(await world.approvals.approve(1, "", bob)).toMatchObject({
    created: true,
    approvals: [{ operator: ann.id }, { operator: bob.id }],
  });
  expect((await world.activate(1)).activation.body.epoch).toBe(1);
  expect(world.ledger.activations.list()).toHaveLength(1);
});

test("its author approves nothing, nor does anybody what is not there", async () => {
  await expect(world.approvals.approve(1, "mine", author)).rejects.toThrow(/wrote revision 1: another operator/);
  await expect(world.approvals.approve(9, "", ann)).rejects.toMatchObject({ code: "not_found" });
  await expect(world.approvals.approve(1, "x".repeat(1025), ann)).rejects.toMatchObject({ code: "invalid_argument" });
  expect((await world.approvals.all()).size).toBe(0);
  expect(world.drafts.map(({ action, outcome }) => `${action} ${outcome}`)).toEqual([
    "approve denied",
    "approve not_found",
    "approve invalid_argument",
  ]);
});

test("only what a trusted key signed, of this very revision, in an entry that says so, is an approval", async () => {
  const approval = { revision: 1, digest: world.digest(1), operator: ann.id, reason: "", timeMs: 1 };
  const draft = { actor: ann.id, source: "", action: "approve", target: "revision 1", outcome: "ok" } as const;
  const signed = (parts: Partial<typeof approval>, by = key) =>
    signApproval({ ...approval, ...parts }, testMesh, by.signer);
  const wrong = [
    signed({}, createTestKey()),
    `${signed({}).slice(0, -3)}AAA`,
    signApproval(approval, "other.mesh", key.signer),
    signed({ digest: world.digest(2) }),
    signed({ revision: 2 }),
    signed({ operator: testAuthor }),
    "why not",
  ];
  for (const detail of wrong) world.drafts.push({ ...draft, detail });
  world.drafts.push(
    { ...draft, outcome: "denied", detail: signed({}) },
    { ...draft, action: "token", detail: signed({}) },
  );
  expect((await world.approvals.all()).size).toBe(0);
  world.drafts.push({ ...draft, detail: signed({}) });
  expect((await world.approvals.all()).get(world.digest(1))).toEqual([approval]);
});

test("a rollback to what ran before needs none; one to what never did, or stages, need them as any activation", async () => {
  await world.approve(1);
  await world.approve(2);
  await world.activate(1);
  await expect(world.activate(3, { stages: "1,100%" })).rejects.toMatchObject(denied);
  await expect(world.rollback(3)).rejects.toMatchObject(denied);
  await world.activate(2);
  expect((await world.rollback()).activation.body.revisionNumber).toBe(1);
  await world.approve(3);
  expect((await world.rollback(3)).activation.body.revisionNumber).toBe(3);
});
