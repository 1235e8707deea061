import { describe, expect, test } from "@jest/globals";
import { collectGarbage, IdleCollection } from "../../runtime/idle-collection.js";
import { ManualClock } from "../support/manual-clock.js";

/** `shares`: how busy the process was, look by look; idle afterwards. */
function createTest(shares: readonly number[], fault?: Error) {
  const clock = new ManualClock();
  const left = [0, ...shares]; // the first is asked for when the wait begins
  const collectedMs: number[] = [];
  const collection = new IdleCollection({
    clock,
    busyShare: () => left.shift() ?? 0,
    async collect() {
      collectedMs.push(clock.monotonicMs());
      if (fault !== undefined) throw fault;
    },
  });
  return { clock, collection, collectedMs };
}

describe("memory that work has left behind", () => {
  test("is given back once, five seconds after the first of several reasons", async () => {
    const { clock, collection, collectedMs } = createTest([]);
    const all = Promise.all([collection.soon(), collection.soon()]);
    await clock.advance(4999);
    expect(collectedMs).toEqual([]);
    await clock.advance(60_000);
    await all;
    expect(collectedMs).toEqual([5000]);
  });

  test("is given back when a busy process becomes idle", async () => {
    const { clock, collection, collectedMs } = createTest([0.5, 0.06, 0.05]);
    const done = collection.soon();
    await clock.advance(60_000);
    await done;
    expect(collectedMs).toEqual([15_000]);
  });

  test("stays with a process that is busy for a minute, until the next reason", async () => {
    const { clock, collection, collectedMs } = createTest(Array.from({ length: 12 }, () => 0.9));
    const done = collection.soon();
    await clock.advance(120_000);
    await done;
    expect(collectedMs).toEqual([]);
    const again = collection.soon();
    await clock.advance(5000);
    await again;
    expect(collectedMs).toEqual([125_000]);
  });

  test("stays without a fault where it cannot be collected", async () => {
    const { clock, collection, collectedMs } = createTest([], new Error("no inspector"));
    const done = collection.soon();
    await clock.advance(5000);
    await done;
    expect(collectedMs).toEqual([5000]);
  });
});

test("all garbage of this process is collected", async () => {
  const dead = new WeakRef({ name: "nobody holds this" });
  await new Promise((resolve) => setImmediate(resolve)); // a WeakRef holds its target for one turn
  await collectGarbage();
  expect(dead.deref()).toBeUndefined();
});
