/** What a proxy counts, as Prometheus text. */
import { status } from "@grpc/grpc-js";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ProxyMetrics } from "../proxy/proxy-metrics.js";

/** What is read when the metrics are asked for. */
export interface MetricSources {
  seenEpoch(): number;
  evaluatingEpoch(): number;
  evaluatingRevision(): number;
  /** Infinity: none was heard. */
  freshnessAgeMs(): number;
  certificateExpiresMs(): number;
  refusedRecords(): number;
  isReady(): boolean;
}

export interface Metrics {
  readonly proxy: ProxyMetrics;
  /** Begins to report what `sources` say. Call it once. */
  watch(sources: MetricSources): void;
  render(): Promise<string>;
  readonly contentType: string;
}

/** Methods come from callers: past this many, and for calls that were refused, the label is "other". */
const methodsMax = 500;

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  return {
    proxy: createProxyMetrics(registers),
    watch: (sources) => watch(registers, sources),
    render: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function createProxyMetrics(registers: Registry[]): ProxyMetrics {
  const calls = new Counter({
    name: "ashlar_calls_total",
    help: "Calls that ended, by gRPC status.",
    labelNames: ["direction", "service", "method", "code"],
    registers,
  });
  const took = new Histogram({
    name: "ashlar_call_seconds",
    help: "How long calls took, streams included.",
    labelNames: ["direction"],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60],
    registers,
  });
  const labelled = (name: string, help: string, labelNames: string[]) =>
    new Counter({ name, help, labelNames, registers });
  const refusals = labelled("ashlar_refusals_total", "Calls that the proxy itself answered.", ["direction", "reason"]);
  const failures = labelled("ashlar_handshake_failures_total", "Connections refused.", ["direction", "reason"]);
  const gauge = (name: string, help: string) => new Gauge({ name, help, labelNames: ["direction"], registers });
  const open = gauge("ashlar_open_streams", "Calls that are open.");
  const connections = gauge("ashlar_connections", "Connections from clients that are open.");
  const methods = new Set<string>();
  const labelOf = (service: string, method: string, isKnown: boolean): string => {
    const key = `${service}/${method}`;
    if (methods.has(key)) return method;
    if (!isKnown || methods.size >= methodsMax) return "other";
    methods.add(key);
    return method;
  };
  const services = new Set<string>();
  return {
    callStarted: (direction) => open.inc({ direction }),
    callEnded: ({ direction, service, method, code, reason, tookMs }) => {
      const answered = reason === undefined && code !== status.UNIMPLEMENTED && code !== status.CANCELLED;
      if (answered) services.add(service); // only names that policy knows get here
      const known = services.has(service) ? service : "other";
      const name = labelOf(service, method, answered);
      open.dec({ direction });
      calls.inc({ direction, service: known, method: name, code: status[code] ?? String(code) });
      took.observe({ direction }, tookMs / 1000);
      if (reason !== undefined) refusals.inc({ direction, reason });
    },
    connection: (direction, change) => connections.inc({ direction }, change),
    handshakeFailed: (direction, reason) => failures.inc({ direction, reason }),
  };
}

function watch(registers: Registry[], sources: MetricSources): void {
  const read = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  read("ashlar_epoch_seen", "The highest epoch that was verified.", () => sources.seenEpoch());
  read("ashlar_epoch_evaluating", "The epoch that calls are judged by; 0: none.", () => sources.evaluatingEpoch());
  read("ashlar_revision_evaluating", "The revision that calls are judged by.", () => sources.evaluatingRevision());
  read("ashlar_freshness_age_seconds", "Since the last freshness statement.", () => sources.freshnessAgeMs() / 1000);
  read(
    "ashlar_certificate_expires_seconds",
    "When the certificate expires, Unix time.",
    () => sources.certificateExpiresMs() / 1000,
  );
  read("ashlar_refused_records", "Records of the logs that did not verify.", () => sources.refusedRecords());
  read("ashlar_ready", "1 if the proxy is ready.", () => (sources.isReady() ? 1 : 0));
  read("process_resident_memory_bytes", "Resident memory.", () => process.memoryUsage.rss());
  read("process_cpu_seconds", "User and system CPU time.", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
}
