/** What workers say they counted: added up if it can be, and never a way to end the first process. */
import { expect, test } from "@jest/globals";
import { Counter, Histogram, Registry } from "prom-client";
import { parseSpiffeId } from "../../../core/identity.js";
import { createProxyEngine } from "../../../data-plane/proxy/forward/proxy-engine.js";
import { numbersCount } from "../../../data-plane/status/call-kind.js";
import { CallTable } from "../../../data-plane/status/call-table.js";
import { createMetrics } from "../../../data-plane/status/metrics.js";
import { tableCounts } from "../../../data-plane/workers/crew-calls.js";
import { CrewMetrics } from "../../../data-plane/workers/crew-metrics.js";
import { startWorkers } from "../../../data-plane/workers/workers-state.js";
import { systemClock } from "../../../runtime/clock.js";

const none = { inbound: 0, outbound: 0 };
const emptyTable = { kinds: [], open: none, folded: none };
const counts = { calls: 0, refused: 0, failed: 0, took: [], methods: [] };

const empty = { metrics: [], table: emptyTable, epoch: 1, calls: counts, before: undefined };

/** The metrics of a proxy whose one worker answers with these. */
function metricsOf(answer: () => unknown, table: () => unknown = () => emptyTable): CrewMetrics {
  const crew = {
    serving: [0],
    request: async () => ({ metrics: answer(), table: table(), epoch: 1, calls: counts, before: undefined }),
    state: startWorkers(1),
    workers: [],
  };
  return new CrewMetrics(crew, systemClock, createMetrics());
}

async function counted(): Promise<unknown> {
  const registers = [new Registry()];
  new Counter({ name: "ashlar_test_total", help: "Test.", labelNames: ["way"], registers }).inc({ way: "in" }, 3);
  new Histogram({ name: "ashlar_test_seconds", help: "Test.", buckets: [1], registers }).observe(0.5);
  return registers[0]?.getMetricsAsJSON();
}

test("of what workers say of an instance the newest counts, what a worker said goes with it, and rubbish is not believed", async () => {
  const fact = (proxyId: string, why: string, agoMs: number) => ({ proxyId, address: "127.0.0.1:1", why, agoMs });
  const said: unknown[] = [
    [fact("a", "connect ECONNREFUSED", 10), fact("b", "", 5)],
    [fact("a", "", 4000), fact("b", "late", 9000)],
  ];
  const crew = {
    serving: [0, 1] as number[],
    request: async (worker: number) => ({ ...empty, reach: said[worker] }),
    state: startWorkers(2),
    workers: [],
  };
  const metrics = new CrewMetrics(crew, systemClock, createMetrics());
  await metrics.render();
  expect(metrics.reaches.read()).toEqual([fact("a", "connect ECONNREFUSED", 10), fact("b", "", 5)]);
  crew.serving.shift();
  metrics.gone(0);
  for (const wrong of [[{ proxyId: "a" }], "all", [fact("a", "x".repeat(1000), 1)], [fact("a", "", -1)]]) {
    said[1] = wrong;
    await metrics.render();
    expect(metrics.reaches.read()).toEqual([fact("a", "", 4000), fact("b", "late", 9000)]);
  }
});

test("what a worker counted stays counted when it has ended", async () => {
  const real = await counted();
  const metrics = metricsOf(() => real);
  for (const total of [3, 6]) {
    const text = (await metrics.render()).join("");
    expect(text).toContain(`ashlar_test_total{way="in"} ${total}\n`);
    expect(text).toContain(`ashlar_test_seconds_bucket{le="1"} ${total / 3}\n`);
    metrics.gone(0);
  }
});

test("all that a worker counts can be added up", async () => {
  const engine = createProxyEngine(
    () => 0,
    () => {},
  );
  const worker = createMetrics(engine.counters, engine);
  worker.proxy.connection("inbound", 1);
  const snapshot = await worker.snapshot();
  const metrics = metricsOf(() => snapshot);
  const text = (await metrics.render()).join("");
  for (const { name } of snapshot) expect(text).toContain(`# TYPE ${name} `);
  expect(text).toContain('ashlar_connections{direction="inbound"} 1\n');
  engine.stop();
});

test.each([
  ["no way to be added up", { aggregator: "none" }],
  ["no kind", { type: "rubbish" }],
  ["a name that is none", { name: "a b" }],
  ["no labels", { values: [{ value: 1 }] }],
  ["a label that is an object", { values: [{ value: 1, labels: { way: {} } }] }],
  ["a label's name that writes a line", { values: [{ value: 1, labels: { 'a"} 1\nb': "c" } }] }],
  ["a series' name that writes a line", { values: [{ value: 1, labels: {}, metricName: "a 1\nb" }] }],
  ["a series that is none", { values: [null] }],
])("with %s it is not listened to, and nothing breaks when it ends", async (_what, wrong) => {
  const fine = { name: "ashlar_evil_total", help: "Evil.", type: "counter", aggregator: "sum", values: [] };
  const metrics = metricsOf(() => [{ ...fine, ...wrong }]);
  await metrics.render();
  metrics.gone(0);
  expect((await metrics.render()).join("")).not.toMatch(/evil|a 1/);
});

const ended = {
  direction: "inbound",
  service: "echo",
  method: "a.A/One",
  caller: parseSpiffeId("spiffe://mesh/service/front"),
  code: 0,
  reason: undefined,
  tookMs: 3,
  version: "v1",
  requestBytes: 7,
  responseBytes: 9,
  attempts: 1,
  isMirrored: false,
} as const;

test("tables of calls are summed over workers, and what a worker counted stays counted", async () => {
  const table = new CallTable(() => 1000);
  const count = (): void => {
    table.started("inbound");
    table.ended(ended);
  };
  const metrics = metricsOf(
    () => [],
    () => structuredClone(tableCounts(table)),
  );
  count();
  table.exemplify(ended, "0123456789abcdef0123456789abcdef");
  const labels = 'direction="inbound",caller="front",service="echo",method="a.A/One",version="v1"';
  expect((await metrics.render()).join("")).toContain(`ashlar_calls_total{${labels},code="OK"} 1\n`);
  metrics.gone(0);
  count();
  const text = (await metrics.render("openmetrics")).join("");
  expect(text).toContain(`ashlar_calls_total{${labels},code="OK"} 3\n`);
  expect(text).toContain(`ashlar_request_bytes_total{${labels}} 21\n`);
  expect(text).toMatch(/le="0.005"\} 3 # \{trace_id="0123456789abcdef0123456789abcdef"\} 0.003 1.000\n/);
  expect(text).toMatch(/# TYPE ashlar_calls counter\n/);
  expect(text.endsWith("\n# EOF\n")).toBe(true);
});

test.each([
  ["no numbers", { numbers: [1, 2] }],
  ["too few numbers", { numbers: new Float64Array(3) }],
  ["a number that is none", { numbers: new Float64Array(numbersCount).fill(Number.NaN) }],
  ["a direction that is none", { direction: "sideways" }],
  ["an exemplar that writes a line", { exemplars: [{ traceId: 'x"} 1\nevil 1', value: 1, timeMs: 1 }] }],
])("a kind of calls with %s is not listened to", async (_what, wrong) => {
  const fine = { direction: "inbound", by: "evil", service: "evil", method: "evil", version: "" };
  const kind = { ...fine, numbers: new Float64Array(numbersCount).fill(1), exemplars: undefined, ...wrong };
  const metrics = metricsOf(
    () => [],
    () => ({ ...emptyTable, kinds: [kind] }),
  );
  expect((await metrics.render("openmetrics")).join("")).not.toContain("evil");
});
