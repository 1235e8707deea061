/** The metrics of a proxy with workers: sums over its processes, including those that have ended. */

import { isLabel } from "../../core/identity.js";
import {
  type CallCounts,
  type MethodCounts,
  methodsToldMax,
  methodToldMax,
  otherCaller,
  tookBoundsMs,
} from "../../core/model.js";
import type { EjectedFact, ReachFact } from "../../core/reach.js";
import type { ShadowCounts } from "../../core/shadow/shadow-model.js";
import type { Clock } from "../../runtime/clock.js";
import { AggregatorRegistry, Counter, Gauge, Registry } from "../../runtime/metric-kinds.js";
import { linesOf, type MetricsFormat, type MetricsText, writeInTurns } from "../../runtime/metrics-text.js";
import { callLines } from "../status/call-lines.js";
import type { KindCounts } from "../status/call-table.js";
import type { Metrics, MetricsSnapshot } from "../status/metrics.js";
import type { Crew } from "./crew.js";
import { CrewCalls, isTable, type TableCounts } from "./crew-calls.js";
import { CrewReaches, isEjections, isReach } from "./crew-reaches.js";
import { CrewTally, isTally } from "./crew-tally.js";
import { CrewWindow, type WorkerWindow } from "./crew-window.js";
import { openOf } from "./worker-slot.js";

/** How often workers are measured, in milliseconds. What a killed worker counted since its last measure is lost. */
const measureEveryMs = 2000;
/** How long a worker may take to answer, in milliseconds. Beyond that, its last answer counts. */
const measureMsMax = 1000;
const metricsMax = 1000;
const seriesMax = 100_000;
const types: ReadonlySet<string> = new Set(["counter", "gauge", "histogram"]);

type CountedCrew = Pick<Crew, "serving" | "request" | "state" | "workers">;

export class CrewMetrics {
  readonly #crew: CountedCrew;
  readonly #clock: Clock;
  readonly #own: Metrics;
  readonly #aboutWorkers = new Registry();
  readonly window = new CrewWindow();
  readonly reaches = new CrewReaches();
  readonly tally: CrewTally;
  readonly #calls = new CrewCalls();
  readonly #last = new Map<number, MetricsSnapshot>();
  #ended: Promise<MetricsSnapshot> = Promise.resolve([]);

  /** `own`: the metrics of the first process. */
  constructor(crew: CountedCrew, clock: Clock, own: Metrics) {
    this.#crew = crew;
    this.#clock = clock;
    this.#own = own;
    this.tally = new CrewTally(() => crew.serving);
    this.#countWorkers();
  }

  /** Notes that a worker ended. Its counts stay. */
  gone(worker: number): void {
    this.window.gone(worker);
    this.tally.gone(worker);
    this.reaches.gone(worker);
    this.#calls.gone(worker);
    const last = this.#last.get(worker);
    this.#last.delete(worker);
    if (last === undefined) return;
    const counted = last.filter(({ type }) => String(type) === "counter" || String(type) === "histogram");
    this.#ended = this.#ended.then(async (ended) => {
      try {
        return await AggregatorRegistry.aggregate([ended, counted]).getMetricsAsJSON();
      } catch {
        return ended; // its counts do not fit those of the others
      }
    });
  }

  async render(format: MetricsFormat = "prometheus"): Promise<MetricsText> {
    await this.#measure();
    const all = [await this.#own.snapshot(), await this.#aboutWorkers.getMetricsAsJSON()];
    const sums = AggregatorRegistry.aggregate([...all, await this.#ended, ...this.#last.values()]);
    const lines = linesOf(format, await sums.getMetricsAsJSON());
    return writeInTurns(format, [lines, callLines(format, this.#calls.sum())]);
  }

  /** Returns the calls of all workers, by kind. */
  async countCalls(): Promise<readonly KindCounts[]> {
    await this.#measure();
    return this.#calls.sum().kinds();
  }

  async measureUntil(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(measureEveryMs, signal);
      if (!signal.aborted) await this.#measure();
    }
  }

  async #measure(): Promise<void> {
    const bound = new AbortController();
    const late = this.#clock.sleep(measureMsMax, bound.signal);
    await Promise.all(this.#crew.serving.map((worker) => Promise.race([this.#measureOne(worker), late])));
    bound.abort();
  }

  async #measureOne(worker: number): Promise<void> {
    const measured = await this.#crew.request(worker, { kind: "measure" });
    if (!isMeasure(measured)) return;
    this.#last.set(worker, measured.metrics);
    this.#calls.take(worker, measured.table);
    this.window.take(worker, measured);
    this.tally.take(worker, measured.shadow);
    this.reaches.take(worker, measured.reach ?? [], measured.ejected ?? []);
  }

  #countWorkers(): void {
    const [crew, calls] = [this.#crew, this.#calls];
    const registers = [this.#aboutWorkers];
    new Gauge({
      name: "ashlar_workers",
      help: "Worker processes, by phase (down, starting, serving); only with --workers.",
      labelNames: ["phase"],
      registers,
      collect() {
        for (const phase of ["down", "starting", "serving"] as const)
          this.set({ phase }, crew.state.workers.filter((worker) => worker.phase === phase).length);
      },
    });
    new Counter({
      name: "ashlar_worker_restarts_total",
      help: "Times that a worker process ended and was replaced; only with --workers.",
      labelNames: ["worker"],
      registers,
      collect() {
        this.reset();
        for (const [worker, { restarts }] of crew.workers.entries()) this.inc({ worker }, restarts);
      },
    });
    new Gauge({
      name: "ashlar_worker_connections",
      help: "Open connections from clients of a worker; only with --workers.",
      labelNames: ["worker"],
      registers,
      collect() {
        for (const [worker, { connections }] of crew.workers.entries()) this.set({ worker }, openOf(connections));
      },
    });
    new Counter({
      name: "ashlar_worker_calls_total",
      help: "Calls that ended in a worker since its process started; only with --workers.",
      labelNames: ["worker"],
      registers,
      collect() {
        this.reset();
        for (const worker of crew.workers.keys()) this.inc({ worker }, calls.of(worker));
      },
    });
  }
}

/** A worker's answer to the task `measure`. */
export interface Measure extends WorkerWindow {
  readonly metrics: MetricsSnapshot;
  readonly table: TableCounts;
  /** The counts of the shadow candidate that the worker evaluates. undefined: it evaluates none. */
  readonly shadow: ShadowCounts | undefined;
  /** Which instances of other services the worker could connect to. */
  readonly reach: readonly ReachFact[];
  /** Which instances of other services the worker has ejected. */
  readonly ejected: readonly EjectedFact[];
}

function isMeasure(measured: unknown): measured is Measure {
  if (typeof measured !== "object" || measured === null) return false;
  const { metrics, table, epoch, calls, before, shadow, reach = [], ejected = [] } = measured as Partial<Measure>;
  const isWhole = typeof epoch === "number" && isCounts(calls) && (before === undefined || isCounts(before));
  return (
    isWhole &&
    isReach(reach) &&
    isEjections(ejected) &&
    isSnapshot(metrics) &&
    isTable(table) &&
    (shadow === undefined || isTally(shadow))
  );
}

function isCounts(value: unknown): value is CallCounts {
  if (!isPlainCounts(value)) return false;
  const { methods } = value;
  return Array.isArray(methods) && methods.length <= methodsToldMax && methods.every(isMethodCounts);
}

function isMethodCounts(value: unknown): value is MethodCounts {
  if (!isPlainCounts(value)) return false;
  const { outbound, service, method, caller = otherCaller } = value as Partial<MethodCounts>;
  const isNamed = typeof service === "string" && isLabel(service) && typeof method === "string";
  const isCaller = typeof caller === "string" && (caller === otherCaller || isLabel(caller));
  return typeof outbound === "boolean" && isNamed && isCaller && method.length <= methodToldMax;
}

function isPlainCounts(value: unknown): value is CallCounts {
  if (typeof value !== "object" || value === null) return false;
  const { calls, refused, failed, took } = value as Partial<CallCounts>;
  const isList = Array.isArray(took) && (took.length === 0 || took.length === tookBoundsMs.length + 1);
  return (
    isList && [calls, refused, failed, ...took].every((count) => Number.isSafeInteger(count) && Number(count) >= 0)
  );
}

/**
 * Returns whether the value is a valid measure of a worker. Workers read strangers' data and are not trusted blindly.
 */
function isSnapshot(measured: unknown): measured is MetricsSnapshot {
  if (!Array.isArray(measured) || measured.length > metricsMax) return false;
  return measured.every((metric: Partial<MetricsSnapshot[number]> | null) => {
    const { name, help, type, aggregator, values } = metric ?? {};
    if (!isName(name) || typeof help !== "string" || !types.has(String(type))) return false;
    if (aggregator !== "sum" && aggregator !== "max") return false;
    return Array.isArray(values) && values.length <= seriesMax && values.every(isSeries);
  });
}

function isName(name: unknown): boolean {
  return typeof name === "string" && /^[a-z_][a-z0-9_]{0,199}$/.test(name);
}

/**
 * Returns whether a series can be summed and written. A malformed one would end the first process or break every
 * scrape.
 */
function isSeries(series: unknown): boolean {
  if (typeof series !== "object" || series === null) return false;
  const { value, labels, metricName } = series as Readonly<Record<string, unknown>>;
  if (typeof value !== "number" || typeof labels !== "object" || labels === null) return false;
  if (metricName !== undefined && !isName(metricName)) return false;
  return Object.entries(labels).every(([name, label]) => isName(name) && ["string", "number"].includes(typeof label));
}
