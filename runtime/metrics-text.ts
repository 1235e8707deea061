/** Writes metrics as text, in Prometheus' form or OpenMetrics', a little in each turn of the event loop. */
import { performance } from "node:perf_hooks";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { MetricObject, MetricValue, Registry } from "prom-client";

export type MetricsFormat = "prometheus" | "openmetrics";

export const metricsContentTypes: Readonly<Record<MetricsFormat, string>> = {
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/** The milliseconds that one turn of writing takes at most; the text becomes bytes in another turn. */
const turnMs = 0.5;
const linesPerLook = 32;

/** An exemplar of a bucket: one call that it counted. */
export interface Exemplar {
  readonly traceId: string;
  readonly value: number;
  readonly timeMs: number;
}

/** Returns the format that the `Accept` header of a scrape asks for, or Prometheus' format if it names neither. */
export function metricsFormatFor(accept: string | undefined): MetricsFormat {
  return accept?.includes("application/openmetrics-text") === true ? "openmetrics" : "prometheus";
}

/** Returns the lines above the series of a metric. */
export function metricHead(format: MetricsFormat, name: string, help: string, type: string): string {
  const family = format === "openmetrics" && type === "counter" ? name.replace(/_total$/, "") : name;
  return `# HELP ${family} ${escapeHelp(help)}\n# TYPE ${family} ${type}`;
}

/** Returns labels as they are written, without braces; "" for none. */
export function labelText(labels: Readonly<Record<string, string | number>>): string {
  let text = "";
  for (const [name, value] of Object.entries(labels)) {
    text += `${text === "" ? "" : ","}${name}="${escapeLabel(String(value))}"`;
  }
  return text;
}

export function exemplarText({ traceId, value, timeMs }: Exemplar): string {
  return ` # {trace_id="${escapeLabel(traceId)}"} ${value} ${(timeMs / 1000).toFixed(3)}`;
}

/** Returns a number as both formats write it. */
export function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  if (value === Number.NEGATIVE_INFINITY) return "-Inf";
  return Number.isNaN(value) ? "NaN" : String(value);
}

/** Yields the lines of a prom-client registry. */
export function* linesOf(
  format: MetricsFormat,
  metrics: Awaited<ReturnType<Registry["getMetricsAsJSON"]>>,
): Generator<string> {
  for (const metric of metrics) {
    const { name, help, values } = metric as MetricObject & { readonly values: readonly MetricValue<string>[] };
    yield metricHead(format, name, help, String(metric.type));
    for (const { labels, value, metricName = name } of values as readonly (MetricValue<string> & {
      readonly metricName?: string;
    })[]) {
      const text = labelText(labels as Readonly<Record<string, string | number>>);
      yield `${metricName}${text === "" ? "" : `{${text}}`} ${numberText(value)}`;
    }
  }
}

/** The text of a scrape in chunks, one for each turn: joining megabytes would take a turn of its own. */
export type MetricsText = readonly string[];

/**
 * Writes all lines. Other work of the process runs between turns of about half a millisecond. OpenMetrics' format ends
 * with its end mark.
 */
export async function writeInTurns(format: MetricsFormat, parts: Iterable<Iterable<string>>): Promise<MetricsText> {
  const chunks: string[] = [];
  let chunk = "";
  let lines = 0;
  let beganMs = performance.now();
  for (const part of parts) {
    for (const line of part) {
      chunk += `${line}\n`;
      if (++lines % linesPerLook !== 0 || performance.now() - beganMs < turnMs) continue;
      chunks.push(chunk);
      chunk = "";
      await nextTurn();
      beganMs = performance.now();
    }
  }
  chunks.push(chunk, format === "openmetrics" ? "# EOF\n" : "");
  return chunks;
}

function escapeHelp(text: string): string {
  return /[\\\n]/.test(text) ? text.replace(/\\/g, "\\\\").replace(/\n/g, "\\n") : text;
}

function escapeLabel(text: string): string {
  return /[\\\n"]/.test(text) ? escapeHelp(text).replace(/"/g, '\\"') : text;
}
