/** A control plane that says nothing is told, unless it is this one that hears nothing. */
import { beforeEach, expect, test } from "@jest/globals";
import { ControlPlanes } from "../../../control-plane/freshness/control-planes.js";
import type { Ledger } from "../../../control-plane/store/ledger.js";
import { signFreshness, signTrust } from "../../../core/wire/records.js";
import { freshnessSubject } from "../../../core/wire/subjects.js";
import type { Bus, BusStatus } from "../../../runtime/bus.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";
import { ManualClock } from "../../support/manual-clock.js";
import { buildFreshness, buildTrust, createTestKey, type TestKey, testMesh } from "../../support/records.js";

const root = createTestKey();
const [one, two, stranger] = [createTestKey(), createTestKey(), createTestKey()];
const trust = buildTrust([one, two]);
const named = {
  ...trust,
  signingKeys: trust.signingKeys.map((key) => ({ ...key, holder: key.kid === one.signer.kid ? "one" : "two" })),
};
const ledger = { trust: { head: () => signTrust(named, testMesh, root.signer) } } as unknown as Ledger;

let clock: ManualClock;
let bus: Bus;
let tell: (status: BusStatus) => void;
let planes: ControlPlanes;
beforeEach(() => {
  clock = new ManualClock();
  bus = new MemoryBroker().connect();
  const heard = { subscribe: bus.subscribe.bind(bus), connected: true };
  const onStatus = (listener: (status: BusStatus) => void) => {
    tell = listener;
    return () => {};
  };
  const deps = { mesh: testMesh, ledger, bus: { ...heard, onStatus }, clock, self: "one" };
  planes = new ControlPlanes(deps, new AbortController().signal);
});

const say = async (key: TestKey): Promise<void> => {
  bus.publish(freshnessSubject, signFreshness(buildFreshness(), testMesh, key.signer).bytes);
  await bus.flush();
  await new Promise((resolve) => setImmediate(resolve));
};

test("one that says nothing for 15 s is a problem until it speaks, and for a day at most", async () => {
  await say(two);
  await clock.advance(14_000);
  expect([planes.problems(), planes.there, planes.gone]).toEqual([[], 2, 0]);
  await clock.advance(26_000);
  expect(planes.problems()).toMatchObject([
    { code: "control-plane-silent", subject: "two", message: expect.stringContaining("two has said nothing for 40 s") },
  ]);
  expect([planes.there, planes.gone]).toEqual([1, 1]);
  await say(two);
  expect(planes.problems()).toEqual([]);
  await clock.advance(25 * 3_600_000);
  expect(planes.problems()).toEqual([]);
});

test("all are listed, with whether they are silent, which nobody knows who does not hear", async () => {
  await say(two);
  await clock.advance(20_000);
  expect(planes.list()).toEqual([
    { name: "one", self: true, silent: false, heardAgoMs: 0 },
    { name: "two", self: false, silent: true, heardAgoMs: 20_000 },
  ]);
  tell({ connected: false });
  expect(planes.list().map(({ silent }) => silent)).toEqual([false, false]);
});

test("what a stranger signs says nothing of it", async () => {
  await clock.advance(14_000);
  await say(stranger);
  await clock.advance(2000);
  expect(planes.gone).toBe(1);
});

test("nothing is said of others while NATS is away, and just after it is back", async () => {
  await clock.advance(60_000);
  tell({ connected: false });
  expect(planes.problems()).toEqual([]);
  tell({ connected: true });
  await clock.advance(5000);
  expect(planes.problems()).toEqual([]);
  await clock.advance(20_000);
  expect(planes.problems()).toHaveLength(1);
});
