/** The metrics of a proxy, in the text format of Prometheus. */
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, Gauge, Histogram, Registry } from "../../runtime/metric-kinds.js";
import { linesOf, type MetricsFormat, type MetricsText, writeInTurns } from "../../runtime/metrics-text.js";
import { gaugesOf, watchProcess } from "../../runtime/process-metrics.js";
import { EngineCounters, refusalReasons } from "../http2/refusals.js";
import type { JournalSources } from "../journal/journal-counts.js";
import type { ProxyMetrics } from "../proxy/proxy-metrics.js";
import type { ShadowOutcome } from "../proxy/shadow-tally.js";
import { callLines } from "./call-lines.js";
import { CallTable } from "./call-table.js";
import type { DecisionTotals } from "./decision-recorder.js";
import { reportJournal } from "./journal-metrics.js";
import { type LoadSources, reportLoad } from "./load-metrics.js";
import { createTrafficMetrics, reportUnreached } from "./traffic-metrics.js";

/** Values that are read at each scrape. */
export interface MetricSources {
  seenEpoch(): number;
  evaluatingEpoch(): number;
  evaluatingRevision(): number;
  /** Milliseconds since the last freshness statement. Infinity: none was heard. */
  freshnessAgeMs(): number;
  /** How far this machine's clock is ahead, in milliseconds. undefined: not known yet. */
  clockAheadMs(): number | undefined;
  certificateExpiresMs(): number;
  nowMs(): number;
  isNatsConnected(): boolean;
  refusedRecords(): number;
  decisions(): DecisionTotals;
  /** False: the application fails its health checks. */
  isApplicationHealthy(): boolean;
  isReady(): boolean;
}

/** Counts of spans and access-log lines, by outcome. */
export interface TelemetrySources {
  spans(): object;
  lines(): object;
}

export type MetricsSnapshot = Awaited<ReturnType<Registry["getMetricsAsJSON"]>>;

export interface Metrics {
  readonly proxy: ProxyMetrics;
  /** Registers the metrics that read `sources`. Must be called once. */
  watch(sources: MetricSources): void;
  /**
   * Registers the counter of calls that a shadow candidate judged too. Must be called once, in a process that judges
   * calls.
   */
  reportShadow(read: () => Readonly<Record<ShadowOutcome, number>>): void;
  /**
   * Registers the gauge of instances that cannot be connected to, by service. Must be called once, where calls are
   * carried.
   */
  reportReaches(read: () => ReadonlyMap<string, number>): void;
  /** Registers the metrics of journaled writes. Must be called once, where calls are carried. */
  reportJournal(journal: JournalSources): void;
  /** Registers the counters of spans and of lines of the access log. Must be called once, where calls are carried. */
  reportTelemetry(sources: TelemetrySources): void;
  render(format?: MetricsFormat): Promise<MetricsText>;
  /** Returns the metrics as data, without those of `calls`. */
  snapshot(): Promise<MetricsSnapshot>;
  readonly calls: CallTable;
}

/** Creates the metrics of a proxy. `counters`: the HTTP/2 engine's refusals. `load`: what carrying calls costs. */
export function createMetrics(counters = new EngineCounters(), load?: LoadSources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  if (load !== undefined) reportLoad(registers, load);
  watchMemory(registers);
  const calls = new CallTable();
  return {
    calls,
    proxy: createProxyMetrics(registers, counters, calls),
    watch: (sources) => watch(registers, sources),
    reportReaches: (read) => reportUnreached(registers, read),
    reportJournal: (journal) => reportJournal(registers, journal),
    reportShadow: (read) => outcomes(registers, "ashlar_shadow_calls_total", shadowHelp, read),
    reportTelemetry: ({ spans, lines }) => {
      outcomes(registers, "ashlar_spans_total", "Spans of calls, by what became of them.", spans);
      outcomes(registers, "ashlar_access_log_lines_total", "Lines of the access log, by what became of them.", lines);
    },
    render: async (format = "prometheus") => {
      const lines = linesOf(format, await registry.getMetricsAsJSON());
      return writeInTurns(format, [lines, callLines(format, calls)]);
    },
    snapshot: () => registry.getMetricsAsJSON(),
  };
}

/** Creates metrics of this process itself, whatever it carries. */
export function createProcessMetrics(): (format: MetricsFormat) => Promise<MetricsText> {
  const registry = new Registry();
  watchMemory([registry]);
  return async (format) => writeInTurns(format, [linesOf(format, await registry.getMetricsAsJSON())]);
}

function createProxyMetrics(registers: Registry[], counters: EngineCounters, calls: CallTable): ProxyMetrics {
  const failures = new Counter({
    name: "ashlar_handshake_failures_total",
    help: "Connections that were refused before the first call: TLS, ALPN, identity or HTTP/2 preface failed, or their address or listener has too many.",
    labelNames: ["direction", "reason"],
    registers,
  });
  const connections = new Gauge({
    name: "ashlar_connections",
    help: "Open connections from clients: applications (outbound) or other proxies (inbound).",
    labelNames: ["direction"],
    registers,
  });
  const judged = new Histogram({
    name: "ashlar_judged_again_seconds",
    help: "Time from the switch to a new policy until the last open call that it refuses was ended.",
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
    registers,
  });
  const judgedCalls = new Counter({
    name: "ashlar_judged_again_total",
    help: "Open calls that were judged again after a switch to a new policy, by whether they were closed or kept.",
    labelNames: ["outcome"],
    registers,
  });
  const { copyEnded, ...traffic } = createTrafficMetrics(registers);
  reportRefusals(registers, counters);
  return {
    ...traffic,
    callStarted: (direction) => calls.started(direction),
    callEnded: (call) => {
      if (!call.isMirrored) calls.ended(call);
      else {
        calls.left(call.direction);
        copyEnded(call);
      }
    },
    connection: (direction, change) => connections.inc({ direction }, change),
    judgedAgain: (open, closed, tookMs) => {
      judged.observe(tookMs / 1000);
      judgedCalls.inc({ outcome: "closed" }, closed);
      judgedCalls.inc({ outcome: "kept" }, open - closed);
    },
    handshakeFailed: (direction, reason) => failures.inc({ direction, reason }),
  };
}

/** Registers counters of what the engine refused. They are read at each scrape. */
function reportRefusals(registers: Registry[], counters: EngineCounters): void {
  new Counter({
    name: "ashlar_http2_refusals_total",
    help: "Connections, streams and requests that the HTTP/2 engine refused.",
    labelNames: ["reason"],
    registers,
    collect() {
      this.reset();
      for (const reason of refusalReasons) {
        const count = counters.refused(reason);
        if (count > 0) this.inc({ reason }, count);
      }
    },
  });
  new Counter({
    name: "ashlar_connections_ended_total",
    help: "Connections that the HTTP/2 engine ended for a fault or a flood; the log names the peer.",
    labelNames: ["reason"],
    registers,
    collect() {
      this.reset();
      for (const reason of refusalReasons) {
        const count = counters.ended(reason);
        if (count > 0) this.inc({ reason }, count);
      }
    },
  });
}

function watchMemory(registers: Registry[]): void {
  const read = gaugesOf(registers);
  watchProcess(read);
  read("ashlar_heap_used_bytes", "Used bytes of the JavaScript heap.", () => process.memoryUsage().heapUsed);
  read("ashlar_external_bytes", "Bytes outside the JavaScript heap that its objects hold, as buffers do.", () => {
    const { external } = process.memoryUsage();
    return external;
  });
  watchEventLoop(registers);
}

const delayResolutionMs = 20;
/** The histogram of the event loop's delays. The process has one, however many proxies it runs. */
let loopDelays: IntervalHistogram | undefined;

/** Registers the delays of the event loop. Each scrape starts new measurements. */
function watchEventLoop(registers: Registry[]): void {
  loopDelays ??= monitorEventLoopDelay({ resolution: delayResolutionMs });
  const delays = loopDelays;
  delays.enable();
  new Gauge({
    name: "ashlar_event_loop_delay_seconds",
    help: "Delay of the event loop since the last scrape, by quantile; 1 is the longest.",
    labelNames: ["quantile"],
    registers,
    aggregator: "max",
    collect() {
      for (const quantile of [0.5, 0.99, 1])
        this.set(
          { quantile: String(quantile) },
          Math.max(0, delays.percentile(quantile * 100) / 1e9 - delayResolutionMs / 1000),
        );
      delays.reset();
    },
  });
}

function watch(registers: Registry[], sources: MetricSources): void {
  const read = gaugesOf(registers);
  read("ashlar_epoch_seen", "Highest epoch whose signed activation was verified.", () => sources.seenEpoch());
  read("ashlar_epoch_evaluating", "Epoch of the policy that calls are judged by; 0: no policy yet.", () =>
    sources.evaluatingEpoch(),
  );
  read("ashlar_revision_evaluating", "Number of the revision that calls are judged by; 0: none yet.", () =>
    sources.evaluatingRevision(),
  );
  read(
    "ashlar_freshness_age_seconds",
    "Time since the newest freshness statement was signed; +Inf: none was heard.",
    () => sources.freshnessAgeMs() / 1000,
  );
  read(
    "ashlar_clock_ahead_seconds",
    "How far the clock of this machine is ahead of the control plane's, negative if it is behind; NaN: not known yet.",
    () => {
      return (sources.clockAheadMs() ?? Number.NaN) / 1000;
    },
  );
  read(
    "ashlar_certificate_expires_seconds",
    "Time at which the proxy's certificate expires, as Unix time.",
    () => sources.certificateExpiresMs() / 1000,
  );
  read("ashlar_certificate_left_seconds", "Seconds until the proxy's certificate expires; negative if it has.", () => {
    return (sources.certificateExpiresMs() - sources.nowMs()) / 1000;
  });
  read("ashlar_nats_connected", "1 while the process is connected to NATS, else 0.", () =>
    sources.isNatsConnected() ? 1 : 0,
  );
  read("ashlar_refused_records", "Log records that were refused since the start because they did not verify.", () =>
    sources.refusedRecords(),
  );
  read("ashlar_ready", "1 while /readyz answers 200, else 0.", () => (sources.isReady() ? 1 : 0));
  read("ashlar_application_healthy", "0 while the own application fails its health checks, else 1.", () =>
    sources.isApplicationHealthy() ? 1 : 0,
  );
  const decisions =
    "Decisions about calls, by whether they were recorded, only counted (repeated refusals) or dropped for lack of room.";
  outcomes(registers, "ashlar_decisions_total", decisions, () => sources.decisions());
}

const shadowHelp = "Calls that a shadow candidate judged too, by what its verdict would have changed.";

function outcomes(registers: Registry[], name: string, help: string, read: () => object): void {
  new Counter({
    name,
    help,
    labelNames: ["outcome"],
    registers,
    collect() {
      this.reset();
      for (const [outcome, count] of Object.entries(read())) this.inc({ outcome }, count);
    },
  });
}
