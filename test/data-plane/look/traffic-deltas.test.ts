import { status } from "@grpc/grpc-js";
import { expect, test } from "@jest/globals";
import type { SpiffeId } from "../../../core/identity.js";
import { countsToldMax, otherCalls } from "../../../core/look/look-model.js";
import { TrafficDeltas } from "../../../data-plane/look/traffic-deltas.js";
import type { EndedCall } from "../../../data-plane/proxy/proxy-metrics.js";
import { CallTable, type KindCounts } from "../../../data-plane/status/call-table.js";

const call = (fields: Partial<EndedCall> = {}): EndedCall => ({
  direction: "outbound",
  service: "payments",
  method: "shop.Payments/Charge",
  caller: "spiffe://test/service/checkout" as SpiffeId,
  code: status.OK,
  reason: undefined,
  tookMs: 3,
  version: "v1",
  requestBytes: 0,
  responseBytes: 0,
  attempts: 1,
  isMirrored: false,
  ...fields,
});

test("only what ended since the last time is told, of each side by the other's name", () => {
  const table = new CallTable();
  const deltas = new TrafficDeltas();
  table.ended(call());
  deltas.take(table.kinds());
  expect(deltas.take(table.kinds())).toEqual([]);
  table.ended(call({ attempts: 2 }));
  table.ended(call({ code: status.UNAVAILABLE, attempts: 3, tookMs: 700 }));
  table.ended(call({ direction: "inbound", service: "checkout", caller: "spiffe://test/gateway/web" as SpiffeId }));
  const [out, inward] = deltas.take(table.kinds());
  expect(out).toMatchObject({
    outbound: true,
    other: "payments",
    method: "shop.Payments/Charge",
    version: "v1",
    streams: 5,
  });
  expect([out?.codes[status.OK], out?.codes[status.UNAVAILABLE], out?.took[3], out?.took[10]]).toEqual([1, 1, 1, 1]);
  expect(inward).toMatchObject({ outbound: false, other: "gateway/web" });
});

test("a kind that made room and came back counts anew", () => {
  const deltas = new TrafficDeltas();
  const kind = (calls: number): KindCounts => {
    const table = new CallTable();
    for (let n = 0; n < calls; n++) table.ended(call());
    return table.kinds().find(({ service }) => service === "payments") as KindCounts;
  };
  deltas.take([kind(5)]);
  expect(deltas.take([kind(2)])[0]?.codes[status.OK]).toBe(2);
});

test("kinds above the bound are told as one", () => {
  const table = new CallTable();
  for (let n = 0; n < 399; n++) {
    table.ended(call({ method: `a.B/M${n}` }));
    table.ended(call({ direction: "inbound", method: `a.B/M${n}` }));
  }
  const told = new TrafficDeltas().take(table.kinds());
  expect(told).toHaveLength(countsToldMax);
  const calls = told.reduce((sum, { codes }) => sum + (codes[0] ?? 0), 0);
  expect([calls, told.filter(({ other }) => other === otherCalls).length]).toEqual([2 * 399, 2]);
});
