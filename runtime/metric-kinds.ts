/**
 * The parts of prom-client that are used. Its index also loads what measures a process by itself, with the whole of
 * OpenTelemetry's API, which takes memory in every proxy and is asked for nothing.
 */
export { default as AggregatorRegistry } from "prom-client/lib/cluster.js";
export { default as Counter } from "prom-client/lib/counter.js";
export { default as Gauge } from "prom-client/lib/gauge.js";
export { default as Histogram } from "prom-client/lib/histogram.js";
export { default as Registry } from "prom-client/lib/registry.js";
