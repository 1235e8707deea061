/** Orders to tell about calls: one that is forged, old, repeated or of another mesh changes nothing. */
import { beforeEach, describe, expect, test } from "@jest/globals";
import type { SpiffeId } from "../../../core/identity.js";
import type { LookOrder, TapFilter } from "../../../core/look/look-model.js";
import { signLookOrder } from "../../../core/wire/look.js";
import { signTrust } from "../../../core/wire/records.js";
import { HeardOrders } from "../../../data-plane/look/heard-orders.js";
import { silentLogger } from "../../../runtime/log.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";
import { ManualClock } from "../../support/manual-clock.js";
import { buildTrust, createTestKey, testMesh } from "../../support/records.js";

const operator = `spiffe://${testMesh}/operator/admin` as SpiffeId;
const tap: TapFilter = { service: "payments", caller: "", method: "", refused: false, slowMs: 0 };
const id = "ab".repeat(16);

const root = createTestKey();
const key = createTestKey();
const stranger = createTestKey();
const trusting = signTrust(buildTrust([key]), testMesh, root.signer);

let clock: ManualClock;
let orders: HeardOrders;
let changes: number;
let aheadMs: number | undefined;

beforeEach(() => {
  clock = new ManualClock();
  aheadMs = undefined;
  const sync = {
    trusting,
    get clockAheadMs() {
      return aheadMs;
    },
  };
  const bus = new MemoryBroker().connect();
  orders = new HeardOrders({ bus, mesh: testMesh, sync, clock, log: silentLogger }, new AbortController().signal);
  changes = 0;
  orders.onChange(() => changes++);
});

const order = (fields: Partial<LookOrder> = {}): LookOrder => {
  return { id, tap, operator, issuedMs: clock.nowMs(), validMs: 10_000, everyMs: 1000, ...fields };
};
const signed = (fields: Partial<LookOrder> = {}, mesh = testMesh, by = key): Uint8Array =>
  signLookOrder(order(fields), mesh, by.signer).bytes;

test("an order is followed until it expires, and longer if it is repeated", async () => {
  orders.hear(signed());
  expect(orders.active).toEqual([order()]);
  await clock.advance(9000);
  orders.hear(signed());
  await clock.advance(9000);
  expect(orders.active).toHaveLength(1);
  await clock.advance(2000);
  expect([orders.active, changes]).toEqual([[], 2]);
});

test("a later order of a look says anew how often counts are asked for", () => {
  orders.hear(signed({ tap: undefined, everyMs: 1000 }));
  orders.hear(signed({ tap: undefined, issuedMs: clock.nowMs() + 1, everyMs: 3000 }));
  expect([orders.active.map(({ everyMs }) => everyMs), changes]).toEqual([[3000], 1]);
});

test("an order that is taken back ends at once", () => {
  orders.hear(signed());
  orders.hear(signed({ issuedMs: clock.nowMs() + 1, validMs: 0 }));
  expect([orders.active, changes]).toEqual([[], 2]);
});

describe("is refused:", () => {
  for (const [name, bytes] of [
    ["one that a stranger signed", () => signed({}, testMesh, stranger)],
    ["one of another mesh", () => signed({}, "other")],
    ["one with a byte changed", () => signed().map((byte, at) => (at === 200 ? byte ^ 1 : byte))],
    ["one that is older than it is valid", () => signed({ issuedMs: clock.nowMs() - 25_000 })],
    ["one of a later time", () => signed({ issuedMs: clock.nowMs() + 15_000 })],
    ["bytes that are none", () => Buffer.from("tap everything")],
  ] as const)
    test(name, () => {
      orders.hear(bytes());
      expect([orders.active, changes]).toEqual([[], 0]);
    });

  test("one that came before, whether its look goes on or has ended", async () => {
    const first = signed();
    orders.hear(first);
    await clock.advance(8000);
    orders.hear(first);
    await clock.advance(3000);
    expect(orders.active).toEqual([]);
    orders.hear(first);
    expect([orders.active, changes]).toEqual([[], 2]);
  });

  test("a seventeenth look at once", () => {
    for (let n = 0; n < 17; n++) orders.hear(signed({ id: n.toString(16).padStart(32, "0") }));
    expect(orders.active).toHaveLength(16);
  });
});

test("a proxy whose clock is off goes by the control plane's", () => {
  clock.offMs = 3_600_000;
  orders.hear(signed({ issuedMs: clock.nowMs() - 3_600_000 }));
  expect(orders.active).toEqual([]);
  aheadMs = 3_600_000;
  orders.hear(signed({ issuedMs: clock.nowMs() - 3_600_000 }));
  expect(orders.active).toHaveLength(1);
});
