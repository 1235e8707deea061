/** What workers are told, in which order, and what becomes of it when they are lost, slow, or talk nonsense. */
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { digestOf } from "../../../core/digest.js";
import type { HeldRevision } from "../../../data-plane/sync/held-revision.js";
import type { Crew } from "../../../data-plane/workers/crew.js";
import type { ToWorker } from "../../../data-plane/workers/messages.js";
import { WorkerFeed } from "../../../data-plane/workers/worker-feed.js";
import { systemClock } from "../../../runtime/clock.js";
import { type PortsWorker, WorkersWorld } from "../../support/ports-workers.js";
import { untilTrue } from "../../support/until.js";

let workers: WorkersWorld;
beforeEach(async () => {
  workers = await WorkersWorld.open(2);
});
afterEach(() => workers.close());

const worker = (place: number): PortsWorker => workers.spawned[place] as PortsWorker;
const epochOf = (place: number): number => worker(place).ports?.policy.current?.epoch ?? 0;
const evaluates = (epoch: number): Promise<void> => untilTrue(() => workers.evaluated.current?.epoch === epoch);
const serving = (count: number): Promise<void> => untilTrue(() => workers.crew.serving.length === count);
const kindOf = (message: ToWorker): string => (message.kind === "task" ? message.what.kind : message.kind);
const kinds = (place: number): string[] => worker(place).told.map(kindOf);

async function active(): Promise<void> {
  await workers.world.activate(await workers.world.publish("guest"));
  await evaluates(1);
}

test("a worker that starts is told everything in the order in which it holds", async () => {
  await active();
  const candidate = await workers.world.publish("shop");
  await untilTrue(() => workers.world.sync.policy.prepared.length === 2);
  const [first] = workers.world.mesh.revisions;
  if (first !== undefined) await workers.world.orderShadow(first, candidate);
  await evaluates(2);
  worker(0).kill();
  await untilTrue(() => workers.spawned.length === 3);
  await serving(2);
  const told = kinds(2).filter((kind) => !["sharing", "limits", "fresh", "ping", "app"].includes(kind));
  expect(told.slice(0, 7)).toEqual(["setup", "trust", "identity", "prepare", "prepare", "switch", "seen"]);
  expect(kinds(2)).toContain("shadow");
  expect(epochOf(2)).toBe(2);
  await untilTrue(() => worker(2).ports?.policy.shadow !== undefined);
});

test("a revision that is held before the workers start waits for none of them", async () => {
  const crew = { briefed: [], expectPrepared: () => {} } as unknown as Crew;
  const revision = { digest: digestOf(Buffer.from("first")) } as HeldRevision["revision"];
  await new WorkerFeed(crew, systemClock).prepare({ revision } as HeldRevision);
});

test("I7: an epoch counts when the last worker has acknowledged it", async () => {
  await active();
  worker(1).isHeld = true;
  await workers.world.activate(await workers.world.publish("shop"));
  await untilTrue(() => kinds(1).filter((kind) => kind === "prepare").length === 2);
  expect(workers.world.sync.policy.current?.epoch).toBe(1); // a revision is held when every worker holds it
  worker(1).release();
  await evaluates(2);
  worker(1).isHeld = true;
  const [first] = workers.world.mesh.revisions;
  if (first !== undefined) await workers.world.activate(first);
  await untilTrue(() => epochOf(0) === 3 && epochOf(1) === 3);
  expect(workers.evaluated.current?.epoch).toBe(2);
  worker(1).release();
  await evaluates(3);
});

test("acknowledgements that come late, and in the wrong order, take nothing back", async () => {
  await active();
  const [first] = workers.world.mesh.revisions;
  if (first === undefined) return;
  worker(1).isHeld = true;
  for (let epoch = 2; epoch <= 4; epoch++) await workers.world.activate(first);
  await untilTrue(() => epochOf(1) === 4);
  const heard: number[] = [];
  workers.evaluated.onSwitch(({ epoch }) => heard.push(epoch));
  worker(1).release(true);
  await evaluates(4);
  await workers.world.activate(first);
  await evaluates(5);
  expect(heard).toEqual([4, 5]);
});

test("a worker that dies in the middle of a switch holds up nobody, and its successor begins with the new epoch", async () => {
  await active();
  const [first] = workers.world.mesh.revisions;
  worker(1).isHeld = true;
  if (first !== undefined) await workers.world.activate(first);
  await untilTrue(() => epochOf(1) === 2);
  expect(workers.evaluated.current?.epoch).toBe(1);
  const dead = worker(1);
  dead.kill();
  await evaluates(2);
  await serving(2);
  expect(epochOf(2)).toBe(2);
  dead.release(); // what a dead one says is not heard
  await workers.world.activate(await workers.world.publish("shop"));
  await evaluates(3);
  expect(workers.spawned).toHaveLength(3);
});

test("a worker that dies while it compiles holds up nobody either, and its successor is told of that revision", async () => {
  await active();
  worker(1).isHeld = true;
  const next = await workers.world.publish("shop");
  await untilTrue(() => kinds(1).filter((kind) => kind === "prepare").length === 2);
  worker(1).kill();
  await workers.world.activate(next);
  await evaluates(2);
  await serving(2);
  expect(epochOf(2)).toBe(2);
});

test("a worker that says what it cannot prepare keeps serving, and the revision is offered again", async () => {
  await active();
  worker(1).isHeld = true;
  const next = await workers.world.publish("shop");
  const task = () => worker(1).told.filter((message) => kindOf(message) === "prepare")[1];
  await untilTrue(() => task() !== undefined);
  const told = task();
  worker(1).isHeld = false;
  if (told?.kind === "task") worker(1).say({ kind: "done", task: told.task, problem: "no", value: undefined });
  await workers.world.activate(next);
  await untilTrue(() => workers.evaluated.current?.epoch === 2, 15_000);
  expect(workers.spawned).toHaveLength(2);
}, 20_000);

test("nonsense ends the worker that says it, and no other; in the other direction it is refused, too", async () => {
  await active();
  for (const [said, count] of [
    [{ kind: "no such kind" }, 3],
    ["\u0000garbage", 4],
    [{ kind: "question", question: 1, what: { kind: "use-service", service: "@mesh" } }, 5],
  ] as const) {
    workers.spawned.at(-1)?.say(said);
    await untilTrue(() => workers.spawned.length === count);
    await serving(2);
  }
  expect(epochOf(4)).toBe(1);
  expect(worker(0).told.some(({ kind }) => kind === "close")).toBe(false);
  const { ports } = worker(0);
  for (const garbage of [{ kind: "no such kind" }, {}, undefined, "garbage"])
    expect(() => ports?.take(garbage as never)).toThrow();
  expect(epochOf(0)).toBe(1);
}, 20_000);

test("acknowledgements of nothing that was asked change nothing", async () => {
  await active();
  for (const task of [0, 999_999]) worker(0).say({ kind: "done", task, problem: "why", value: undefined });
  await workers.world.activate(await workers.world.publish("shop"));
  await evaluates(2);
  expect(workers.spawned).toHaveLength(2);
});

test("endpoints go to those who follow them, and to the successor only once it asks", async () => {
  await workers.world.addEndpoint("inventory", "one");
  await worker(0).ports?.endpoints.ready("inventory");
  expect(kinds(0)).toContain("endpoints");
  expect(kinds(1)).not.toContain("endpoints");
  worker(0).kill();
  await untilTrue(() => workers.spawned.length === 3);
  await serving(2);
  await workers.world.addEndpoint("inventory", "two");
  await worker(2).ports?.endpoints.ready("inventory");
  expect(worker(2).ports?.endpoints.endpoints("inventory")).toHaveLength(2);
  expect(kinds(2).filter((kind) => kind === "endpoints").length).toBeGreaterThan(0);
  expect(kinds(1)).not.toContain("endpoints");
});
