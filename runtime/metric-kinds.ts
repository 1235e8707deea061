/**
 * The parts of prom-client that are used. Its index also loads OpenTelemetry's API and collectors for the process,
 * which take memory in every proxy and are not needed.
 */
export { default as AggregatorRegistry } from "prom-client/lib/cluster.js";
export { default as Counter } from "prom-client/lib/counter.js";
export { default as Gauge } from "prom-client/lib/gauge.js";
export { default as Histogram } from "prom-client/lib/histogram.js";
export { default as Registry } from "prom-client/lib/registry.js";
