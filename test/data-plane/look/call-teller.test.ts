/** How often a proxy tells of its calls while an order asks for them. */
import { expect, test } from "@jest/globals";
import type { SpiffeId } from "../../../core/identity.js";
import type { LookOrder } from "../../../core/look/look-model.js";
import { parseTrafficReport } from "../../../core/wire/look.js";
import { lookSubject } from "../../../core/wire/subjects.js";
import { tellOfCalls } from "../../../data-plane/look/call-teller.js";
import { CallTable } from "../../../data-plane/status/call-table.js";
import { silentLogger } from "../../../runtime/log.js";
import { MemoryBroker } from "../../../runtime/memory-bus.js";
import { ManualClock } from "../../support/manual-clock.js";
import { testMesh } from "../../support/records.js";
import { StatementPki, writerOf } from "../../support/statements.js";

const id = "ab".repeat(16);
const proxy = { service: "checkout", proxyId: "c1" };
const caller = `spiffe://${testMesh}/service/checkout` as SpiffeId;
const jwtFor = (subject: string): string =>
  `x.${Buffer.from(JSON.stringify({ nats: { pub: { allow: [subject] } } })).toString("base64url")}.x`;

/** A proxy that is asked by `orders`; what it told, with the second at which it did. */
function openTeller(orders: LookOrder[]) {
  const clock = new ManualClock();
  const bus = new MemoryBroker().connect();
  const natsJwt = jwtFor(lookSubject(proxy.service, proxy.proxyId, "*"));
  const current = { ...new StatementPki().issue(proxy.service, proxy.proxyId), natsJwt };
  const table = new CallTable();
  const told: { readonly second: number; readonly intervalMs: number; readonly calls: number }[] = [];
  const heard = bus.subscribe(lookSubject("*", "*", id));
  void (async () => {
    for await (const { data } of heard) {
      const { intervalMs, counts } = parseTrafficReport(data, proxy);
      const calls = counts.reduce((sum, { codes }) => sum + codes.reduce((all, count) => all + count, 0), 0);
      told.push({ second: clock.monotonicMs() / 1000, intervalMs, calls });
    }
  })();
  let change = (): void => {};
  const stop = new AbortController();
  tellOfCalls(
    {
      ...{ bus, clock, log: silentLogger, identity: { current } as never, statements: writerOf(current, clock) },
      ...{ tenure: { isOwner: true }, random: () => 0 },
      carrying: { countCalls: async () => table.kinds(), tap: () => {} },
      orders: {
        get active() {
          return orders;
        },
        onChange: (listener) => {
          change = listener;
        },
      },
    },
    stop.signal,
  );
  const call = (): void =>
    table.ended({
      ...{ direction: "outbound", service: "payments", method: "a.B/C", caller, code: 0, reason: undefined, tookMs: 1 },
      ...{ version: "v1", requestBytes: 0, responseBytes: 0, attempts: 1, isMirrored: false },
    });
  return { clock, told, call, change: () => change(), stop: () => stop.abort() };
}

const order = (everyMs: number): LookOrder => ({
  ...{ id, tap: undefined, operator: `spiffe://${testMesh}/operator/admin` as SpiffeId },
  ...{ issuedMs: 1, validMs: 10_000, everyMs },
});

test("counts are told after a second, then as often as the order says, and as the next one says", async () => {
  const orders = [order(2000)];
  const { clock, told, call, change, stop } = openTeller(orders);
  change();
  for (let second = 0; second < 11; second++) {
    if (second === 5) orders[0] = order(5000);
    await clock.advance(1000);
    call();
  }
  expect(told.map(({ second, intervalMs, calls }) => [second, intervalMs, calls])).toEqual([
    [0, 0, 0],
    [3, 2000, 2],
    [5, 2000, 2],
    [7, 2000, 2],
  ]);
  await clock.advance(1000);
  expect(told.at(-1)).toEqual({ second: 12, intervalMs: 5000, calls: 5 });
  stop();
});

for (const everyMs of [1000, 2000, 5000])
  test(`a proxy without calls that is asked every ${everyMs} ms says so every six seconds or more often`, async () => {
    const { clock, told, change, stop } = openTeller([order(everyMs)]);
    change();
    await clock.advance(60_000);
    const seconds = told.map(({ second }) => second);
    const gaps = seconds.slice(1).map((second, at) => second - (seconds[at] ?? 0));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(6);
    expect(told.at(-1)).toMatchObject({ intervalMs: everyMs, calls: 0 });
    stop();
  });
