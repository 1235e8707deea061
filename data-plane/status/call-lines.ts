/**
 * Writes the table of calls as metrics. The table has up to some ten thousand series. prom-client would render them in
 * one turn of the event loop, whereas this generator makes each line when it is asked for.
 */
import { status } from "@grpc/grpc-js";
import { exemplarText, labelText, type MetricsFormat, metricHead, numberText } from "../../runtime/metrics-text.js";
import { answerReasons } from "../proxy/answer.js";
import { bucketsSeconds, type CallKind, numberPlaces as place } from "./call-kind.js";
import type { CallTable } from "./call-table.js";

const directions = ["inbound", "outbound"] as const;
const codes = Array.from({ length: place.took }, (_, code) => status[code] ?? String(code));
const bounds = [...bucketsSeconds.map(String), "+Inf"];

/** Yields every metric of the table with its help text. Names end as Prometheus wants them. */
export function* callLines(format: MetricsFormat, table: CallTable): Generator<string> {
  const kinds = table.kinds();
  for (const kind of kinds) kind.labels ||= labelsOf(kind);
  yield* byCode(format, kinds);
  yield* durations(format, kinds);
  yield* sums(
    format,
    "ashlar_request_bytes_total",
    "Bytes of request messages, with their gRPC prefixes.",
    kinds,
    place.requestBytes,
  );
  yield* sums(
    format,
    "ashlar_response_bytes_total",
    "Bytes of response messages, with their gRPC prefixes.",
    kinds,
    place.responseBytes,
  );
  yield* sums(
    format,
    "ashlar_upstream_streams_total",
    "Streams that were opened for the calls; more than calls where calls were tried again.",
    kinds,
    place.streams,
  );
  yield* refusals(format, kinds);
  yield metricHead(format, "ashlar_open_streams", "Open calls.", "gauge");
  for (const direction of directions) yield `ashlar_open_streams{direction="${direction}"} ${table.open(direction)}`;
  const help = "Calls that count as `other` because the process tells as many kinds of calls apart as it may.";
  yield metricHead(format, "ashlar_calls_folded_total", help, "counter");
  for (const direction of directions)
    yield `ashlar_calls_folded_total{direction="${direction}"} ${table.folded(direction)}`;
}

function labelsOf({ direction, caller, service, method, version }: CallKind): string {
  return labelText({ direction, caller, service, method, version });
}

function* byCode(format: MetricsFormat, kinds: readonly CallKind[]): Generator<string> {
  const name = "ashlar_calls_total";
  yield metricHead(
    format,
    name,
    "Calls that ended, by the gRPC status that the caller got; copies of calls are not.",
    "counter",
  );
  for (const { labels, numbers } of kinds)
    for (let code = 0; code < place.took; code++) {
      const count = numbers[code] as number;
      if (count > 0) yield `${name}{${labels},code="${codes[code]}"} ${count}`;
    }
}

function* durations(format: MetricsFormat, kinds: readonly CallKind[]): Generator<string> {
  const name = "ashlar_call_seconds";
  yield metricHead(format, name, "Duration of ended calls, streams included; copies of calls are not.", "histogram");
  for (const kind of kinds) {
    const { labels, numbers, exemplars } = kind;
    let total = 0;
    for (let bucket = 0; bucket < bounds.length; bucket++) total += numbers[place.took + bucket] as number;
    if (total === 0) continue;
    total = 0;
    for (let bucket = 0; bucket < bounds.length; bucket++) {
      total += numbers[place.took + bucket] as number;
      const example = format === "openmetrics" ? exemplars?.[bucket] : undefined;
      const shown = example === undefined ? "" : exemplarText(example);
      yield `${name}_bucket{${labels},le="${bounds[bucket]}"} ${total}${shown}`;
    }
    yield `${name}_sum{${labels}} ${numberText((numbers[place.tookMs] as number) / 1000)}`;
    yield `${name}_count{${labels}} ${total}`;
  }
}

function* sums(
  format: MetricsFormat,
  name: string,
  help: string,
  kinds: readonly CallKind[],
  at: number,
): Generator<string> {
  yield metricHead(format, name, help, "counter");
  for (const { labels, numbers } of kinds) {
    const sum = numbers[at] as number;
    if (sum > 0) yield `${name}{${labels}} ${sum}`;
  }
}

function* refusals(format: MetricsFormat, kinds: readonly CallKind[]): Generator<string> {
  const name = "ashlar_refusals_total";
  yield metricHead(format, name, "Calls that the proxy answered itself instead of the application.", "counter");
  for (const { labels, numbers } of kinds)
    for (const [index, reason] of answerReasons.entries()) {
      const count = numbers[place.refused + index] as number;
      if (count > 0) yield `${name}{${labels},reason="${reason}"} ${count}`;
    }
}
