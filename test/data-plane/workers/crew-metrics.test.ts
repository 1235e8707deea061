/** What workers say they counted: added up if it can be, and never a way to end the first process. */
import { expect, test } from "@jest/globals";
import { Counter, Histogram, Registry } from "prom-client";
import { createProxyEngine } from "../../../data-plane/proxy/forward/proxy-engine.js";
import { createMetrics } from "../../../data-plane/status/metrics.js";
import { CrewMetrics } from "../../../data-plane/workers/crew-metrics.js";
import { startWorkers } from "../../../data-plane/workers/workers-state.js";
import { systemClock } from "../../../runtime/clock.js";

const counts = { calls: 0, refused: 0, failed: 0, took: [], methods: [] };

/** The metrics of a proxy whose one worker answers with these. */
function metricsOf(answer: () => unknown): CrewMetrics {
  const crew = {
    serving: [0],
    request: async () => ({ metrics: answer(), epoch: 1, calls: counts, before: undefined }),
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

test("what a worker counted stays counted when it has ended", async () => {
  const real = await counted();
  const metrics = metricsOf(() => real);
  for (const total of [3, 6]) {
    const text = await metrics.render();
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
  const text = await metrics.render();
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
  expect(await metrics.render()).not.toMatch(/evil|a 1/);
});
