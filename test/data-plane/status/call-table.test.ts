/** What is counted of calls, under which labels, and what bounds the labels. */
import { expect, test } from "@jest/globals";
import { parseSpiffeId } from "../../../core/identity.js";
import type { EndedCall } from "../../../data-plane/proxy/proxy-metrics.js";
import { callLines } from "../../../data-plane/status/call-lines.js";
import { CallTable, kindsMax } from "../../../data-plane/status/call-table.js";
import { createMetrics } from "../../../data-plane/status/metrics.js";
import { metricsFormatFor } from "../../../runtime/metrics-text.js";

const service = (name: string) => parseSpiffeId(`spiffe://mesh/service/${name}`);
const outbound = (parts: Partial<EndedCall> = {}): EndedCall => ({
  direction: "outbound",
  service: "payments",
  method: "shop.Payments/Charge",
  caller: service("checkout"),
  code: 0,
  reason: undefined,
  tookMs: 3,
  version: "v1",
  requestBytes: 10,
  responseBytes: 20,
  attempts: 1,
  isMirrored: false,
  ...parts,
});

function count(table: CallTable, call: EndedCall): void {
  table.started(call.direction);
  table.ended(call);
}

const linesOf = (table: CallTable, name: string): string[] =>
  [...callLines("prometheus", table)].filter((line) => line.startsWith(`${name}{`));

test("versions, bytes, streams and refusals are told apart by caller, service and method", () => {
  const table = new CallTable();
  count(table, outbound());
  count(table, outbound({ version: "v2", attempts: 3 }));
  count(table, outbound({ version: "", attempts: 0, code: 14, reason: "no-endpoint" }));
  const of = 'direction="outbound",caller="checkout",service="payments",method="shop.Payments/Charge"';
  expect(linesOf(table, "ashlar_calls_total")).toEqual([
    `ashlar_calls_total{${of},version="",code="UNAVAILABLE"} 1`,
    `ashlar_calls_total{${of},version="v2",code="OK"} 1`,
    `ashlar_calls_total{${of},version="v1",code="OK"} 1`,
  ]);
  expect(linesOf(table, "ashlar_upstream_streams_total")).toContain(
    `ashlar_upstream_streams_total{${of},version="v2"} 3`,
  );
  expect(linesOf(table, "ashlar_request_bytes_total")).toContain(`ashlar_request_bytes_total{${of},version="v1"} 10`);
  expect(linesOf(table, "ashlar_refusals_total")).toEqual([
    `ashlar_refusals_total{${of},version="",reason="no-endpoint"} 1`,
  ]);
});

test.each([
  ["an unknown service", { service: "made-up", code: 14, reason: "unknown-service" }, "other", "other"],
  ["no service at all", { service: "", code: 14, reason: "unknown-service" }, "other", "other"],
  ["a service that was never reached", { service: "ledger", code: 14, reason: "unreachable" }, "ledger", "other"],
  ["a method that the other side does not have", { service: "ledger", code: 12 }, "ledger", "other"],
] as const)("I8: what a caller made up earns no label: %s", (_what, parts, called, method) => {
  const table = new CallTable();
  count(table, outbound({ version: "", ...parts }));
  expect(linesOf(table, "ashlar_calls_total")).toEqual([
    expect.stringContaining(`service="${called}",method="${method}"`),
  ]);
});

test("callers of other kinds than services keep their kind in the label, others their whole identity", () => {
  const table = new CallTable();
  const inbound = { direction: "inbound", reason: "denied", code: 7 } as const;
  count(table, outbound({ ...inbound, caller: parseSpiffeId("spiffe://mesh/gateway/public") }));
  count(table, outbound({ ...inbound, caller: parseSpiffeId("spiffe://mesh/a/b/c") }));
  const lines = linesOf(table, "ashlar_calls_total").join("\n");
  expect(lines).toContain('caller="gateway/public",service="payments",method="other"');
  expect(lines).toContain('caller="spiffe://mesh/a/b/c"');
});

test("I8: kinds are bounded, the rest is counted as other; kinds without calls make room", () => {
  let nowMs = 0;
  const table = new CallTable(() => nowMs);
  const fill = (name: string): void => {
    for (let index = 0; index < kindsMax + 5; index++) count(table, outbound({ version: `${name}${index}` }));
  };
  fill("a");
  expect(table.kinds()).toHaveLength(kindsMax + 2);
  expect(table.folded("outbound")).toBe(5);
  expect(linesOf(table, "ashlar_calls_total")[0]).toContain('service="other",method="other",version="",code="OK"} 5');
  nowMs += 7_200_000;
  fill("b");
  expect(linesOf(table, "ashlar_calls_total").join("\n")).toMatch(/version="b7"/);
  nowMs += 60_000; // those have had calls within the hour
  fill("c");
  expect(linesOf(table, "ashlar_calls_total").join("\n")).not.toMatch(/version="c7"/);
  expect(table.kinds()).toHaveLength(kindsMax + 2);
});

test("I8: a method that is too long for a label counts as other, though the application answers it", () => {
  const table = new CallTable();
  const long = "a.B/".padEnd(201, "x");
  count(table, outbound({ method: long }));
  count(table, outbound({ method: long.slice(1) }));
  const methods = table.kinds().map(({ method }) => method);
  expect(methods).toEqual(expect.arrayContaining(["other", long.slice(1)]));
  expect(methods).not.toContain(long);
});

test("a scrape of ten thousand series leaves turns of the event loop to others", async () => {
  const metrics = createMetrics();
  for (let index = 0; index < kindsMax; index++) {
    count(metrics.calls, outbound({ version: `v${index}` }));
    count(metrics.calls, outbound({ direction: "inbound", caller: service(`caller-${index}`) }));
  }
  let turns = 0;
  let isOver = false;
  const turn = (): void => {
    turns++;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  const text = (await metrics.render()).join("");
  isOver = true;
  expect(text.split("\n").length).toBeGreaterThan(10_000);
  expect(turns).toBeGreaterThan(1);
});

test.each([
  [undefined, "prometheus"],
  ["text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "prometheus"],
  ["application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "openmetrics"],
])("a scrape with Accept %s gets %s", (accept, format) => {
  expect(metricsFormatFor(accept)).toBe(format);
});
