/** A worker's policy as messages make it: in any order, twice, late, or not at all acceptable. */
import { beforeEach, expect, test } from "@jest/globals";
import { AshlarError } from "../../../core/errors.js";
import type { EncodedUnit } from "../../../core/model.js";
import type { Question, SentUnit, WorkerTask } from "../../../data-plane/workers/messages.js";
import { WorkerPolicy } from "../../../data-plane/workers/worker-policy.js";
import { ManualClock, settle } from "../../support/manual-clock.js";
import { MeshSigner, type TestRevision, unitFor } from "../../support/mesh-signer.js";
import { testMesh } from "../../support/records.js";

let policy: WorkerPolicy;
let asked: Question[];
let answer: (question: Question) => Promise<boolean>;
const clock = new ManualClock();
const mesh = new MeshSigner();
const first = mesh.revision([unitFor("inventory", []), unitFor("payments", ["guest"])]);
const second = mesh.revision([unitFor("inventory", []), unitFor("payments", ["shop"])]);

beforeEach(() => {
  asked = [];
  answer = async () => true;
  policy = new WorkerPolicy({
    mesh: testMesh,
    clock,
    ask: (question) => {
      asked.push(question);
      return answer(question);
    },
  });
});

const sentUnit = ({ unit, digest, bytes }: EncodedUnit, withBytes = true): SentUnit => ({
  name: unit.name,
  digest,
  bytes: withBytes ? bytes : undefined,
});

function sent(
  { record, list, units }: TestRevision,
  change: (unit: SentUnit) => SentUnit = (unit) => unit,
): WorkerTask & { readonly kind: "prepare" } {
  const { digest, body } = record;
  return { kind: "prepare", number: body.number, digest, list, units: units.map((unit) => change(sentUnit(unit))) };
}

const evaluated = () => [policy.current?.epoch, policy.current?.revision];

test("a switch waits for its revision, and one that is not held is not made", async () => {
  const { digest } = first.record;
  await expect(policy.switchTo(1, digest)).rejects.toThrow("not held here");
  const prepared = policy.prepare(sent(first));
  const switched = policy.switchTo(1, digest);
  expect(policy.current).toBeUndefined();
  await switched;
  await prepared;
  expect(evaluated()).toEqual([1, 1]);
  expect(policy.current?.unit("payments")).toBeDefined();
});

test("an epoch that comes late or twice changes nothing: they only grow", async () => {
  const switches: number[] = [];
  policy.onSwitch(({ epoch }) => switches.push(epoch));
  await Promise.all([policy.prepare(sent(first)), policy.prepare(sent(second))]);
  await policy.switchTo(3, second.record.digest);
  await policy.switchTo(2, first.record.digest);
  await policy.switchTo(3, first.record.digest);
  expect([evaluated(), switches]).toEqual([[3, 2], [3]]);
});

test("switches that wait for one slow revision end at the newest, in whatever order they are freed", async () => {
  void policy.prepare(sent(first));
  void policy.prepare(sent(second));
  const newer = policy.switchTo(2, first.record.digest);
  const older = policy.switchTo(1, second.record.digest);
  await Promise.all([newer, older]);
  expect(evaluated()).toEqual([2, 1]);
});

test("a revision that is sent twice is compiled once; units of another one need no bytes", async () => {
  const again = policy.prepare(sent(first));
  expect(policy.prepare(sent(first))).toBe(again);
  await again;
  await policy.prepare(sent(second, (unit) => (unit.name === "inventory" ? { ...unit, bytes: undefined } : unit)));
  await policy.switchTo(1, second.record.digest);
  expect(policy.current?.unit("inventory")).toBeDefined();
});

test("I6: one part that is missing or damaged fails the whole revision, which may be sent again", async () => {
  const missing = sent(first, (unit) => ({ ...unit, bytes: undefined }));
  await expect(policy.prepare(missing)).rejects.toThrow("did not come");
  const garbage = sent(first, (unit) => ({ ...unit, bytes: Buffer.from("garbage") }));
  await expect(policy.prepare(garbage)).rejects.toThrow();
  await expect(policy.switchTo(1, first.record.digest)).rejects.toThrow("not held here");
  await policy.prepare(sent(first));
  await policy.switchTo(1, first.record.digest);
  expect(evaluated()).toEqual([1, 1]);
  expect(() => policy.prepare({ ...sent(second), list: { ...second.list, bytes: Buffer.from("garbage") } })).toThrow();
});

test("a unit for a revision that is not held is nothing, and one that is not acceptable takes nothing away", async () => {
  const [inventory] = first.units;
  if (inventory === undefined) throw new Error("no unit");
  policy.addUnit(second.record.digest, sentUnit(inventory));
  await policy.prepare(sent({ ...first, units: first.units.slice(1) }));
  await policy.switchTo(1, first.record.digest);
  expect(() => policy.addUnit(first.record.digest, { ...sentUnit(inventory), bytes: Buffer.from("garbage") })).toThrow(
    AshlarError,
  );
  expect(policy.current?.unit("inventory")).toBeUndefined();
  await expect(policy.useService("inventory")).rejects.toThrow("did not reach this worker");
  policy.addUnit(first.record.digest, sentUnit(inventory));
  expect(await policy.useService("inventory")).toBe(true);
});

test("what was dropped is not held, but who is judged by it still has it", async () => {
  await policy.prepare(sent(first));
  await policy.switchTo(1, first.record.digest);
  policy.drop(first.record.digest);
  await settle();
  expect(policy.current?.unit("payments")).toBeDefined();
  await expect(policy.switchTo(2, first.record.digest)).rejects.toThrow("not held here");
});

test("a candidate is asked when it is whole, in its epoch, and only the one that was ordered last", async () => {
  const order = (epoch: number, { record }: TestRevision) => ({ epoch, revision: record.digest, share: 0.5 });
  await policy.prepare(sent(first));
  await policy.switchTo(1, first.record.digest);
  await policy.orderShadow(order(1, second));
  expect(policy.shadow).toBeUndefined(); // not held
  const slow = policy.prepare(sent(second));
  const ordered = policy.orderShadow(order(1, second));
  expect(policy.shadow).toBeUndefined(); // not whole yet: it would seem to deny everything
  await Promise.all([slow, ordered]);
  expect(policy.shadow).toMatchObject({ share: 0.5, policy: { epoch: 1, revision: 2 } });
  const [older, newer] = [policy.orderShadow(order(1, second)), policy.orderShadow(undefined)];
  await Promise.all([older, newer]);
  expect(policy.shadow).toBeUndefined();
  await policy.orderShadow(order(2, second));
  expect(policy.shadow).toBeUndefined(); // its epoch is still to come
  await policy.switchTo(2, first.record.digest);
  expect(policy.shadow).toBeDefined();
  await policy.switchTo(3, first.record.digest);
  expect(policy.shadow).toBeUndefined();
});

test("calls that bring the same epoch share one question; where nobody answers they go on all the same", async () => {
  answer = () => Promise.reject(new AshlarError("limit", "too many"));
  const peer = "spiffe://test.mesh/service/guest";
  await Promise.all([1, 2, 3].map(() => policy.hearOfEpoch(7, peer)));
  expect(asked).toEqual([{ kind: "hear-of-epoch", epoch: 7, peer }]);
  policy.seenEpoch = 7;
  await policy.hearOfEpoch(7, peer);
  expect(asked).toHaveLength(1);
});

test("the age counts from when it was true, by the worker's own clock", async () => {
  expect(policy.freshnessAgeMs).toBe(Number.POSITIVE_INFINITY);
  policy.heardFresh(400);
  await clock.advance(600);
  expect(policy.freshnessAgeMs).toBe(1000);
});
