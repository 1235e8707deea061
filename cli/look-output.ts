/** Renders traffic and single calls. */
import { status } from "@grpc/grpc-js";
import { isFailureStatus, isRefusalStatus } from "../core/look/look-model.js";
import type { TappedCall, TrafficPair, WatchTrafficResponse } from "./client.js";
import { counted, renderTime, visible } from "./output.js";
import { type Colour, paint } from "./terminal.js";

const statusName = (code: number): string => status[code] ?? String(code);

/** Returns a call as JSON for programs. */
export function callToJson(call: TappedCall, proxy: string) {
  const { timeMs, outbound, caller, service, method, version, code, reason, tookMs, revision, attempts } = call;
  return {
    time: renderTime(timeMs),
    caller,
    service,
    method,
    version,
    code: statusName(code),
    tookMs,
    revision,
    ...(call.decision === "" ? {} : { decision: call.decision }),
    attempts,
    ...(reason === "" ? {} : { reason }),
    ...(call.traceId === "" ? {} : { traceId: call.traceId }),
    direction: outbound ? "outbound" : "inbound",
    proxy,
  };
}

/** Renders a call on one line for people. `columns`: the width that is available; undefined: no bound. */
export function renderCall(call: TappedCall, columns: number | undefined, colours: boolean): string {
  const { timeMs, caller, service, version, method, code, reason, tookMs, attempts, decision, outbound } = call;
  const called = version === "" ? service : `${service}@${version}`;
  const marks = [
    ...(reason === "" ? [] : [reason]),
    ...(attempts > 1 ? [outbound ? `${attempts} tries` : `try ${attempts}`] : []),
    ...(decision === "" ? [] : [decision]),
  ].join(" ");
  const [name, took] = [statusName(code), renderMs(tookMs)];
  const line = visible(
    `${renderTime(timeMs).slice(11, 23)}  ${caller} -> ${called}  ${method}  ${name}  ${took}${marks === "" ? "" : `  ${marks}`}`,
  );
  const cut = columns === undefined ? line : line.slice(0, Math.max(1, columns - 1));
  return paint(colours)(cut, colourOf(code));
}

function colourOf(code: number): Colour | undefined {
  if (isRefusalStatus(code)) return "yellow";
  return isFailureStatus(code) ? "red" : undefined;
}

/** Renders milliseconds: "0.42 ms", "12 ms", "3.1 s". */
function renderMs(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  return `${ms.toFixed(ms < 1 ? 2 : ms < 10 ? 1 : 0)} ms`;
}

const rounded = (value: number, digits = 3): number => Number(value.toFixed(digits));

/** Returns the traffic as JSON for programs. */
export function trafficToJson(view: WatchTrafficResponse) {
  const { timeMs, windowMs, pairs, leftOff, proxies, answering, silent } = view;
  return {
    time: renderTime(timeMs),
    windowMs,
    pairs: pairs.map((pair) => {
      const { caller, service, method, version, calls, refused, failed, p50Ms, p99Ms, codes, calledSide } = pair;
      return {
        caller,
        service,
        method,
        version,
        calls,
        perSecond: rounded(perSecond(pair, windowMs)),
        success: rounded(successOf(pair), 4),
        refused,
        failed,
        p50Ms: rounded(p50Ms),
        p99Ms: rounded(p99Ms),
        codes: Object.fromEntries(codesOf(codes)),
        toldBy: calledSide ? "service" : "caller",
      };
    }),
    leftOff,
    proxies: { live: proxies, answering, silent },
  };
}

function codesOf(codes: readonly number[]): readonly (readonly [string, number])[] {
  const pairs: (readonly [string, number])[] = [];
  for (let at = 0; at + 1 < codes.length; at += 2) pairs.push([statusName(codes[at] ?? 0), codes[at + 1] ?? 0]);
  return pairs;
}

const perSecond = ({ calls }: TrafficPair, windowMs: number): number =>
  windowMs === 0 ? 0 : (calls * 1000) / windowMs;

/** Returns the share of calls that neither failed nor were refused. */
const successOf = ({ calls, refused, failed }: TrafficPair): number =>
  calls === 0 ? 1 : (calls - refused - failed) / calls;

const headings = ["CALLER", "SERVICE", "METHOD", "CALLS/S", "SUCCESS", "REFUSED", "FAILED", "P50", "P99"] as const;

/** Renders the traffic for people. `columns`: the width that is available; undefined: no bound. */
export function renderTraffic(view: WatchTrafficResponse, columns: number | undefined, colours: boolean): string[] {
  const colour = paint(colours);
  const seconds = Math.round(view.windowMs / 1000);
  const head = `Calls of the last ${counted(seconds, "second")}, told by ${view.answering} of ${counted(view.proxies, "live proxy", "live proxies")}`;
  const rows = view.pairs.map((pair) => [
    visible(pair.caller),
    visible(pair.version === "" ? pair.service : `${pair.service}@${pair.version}`),
    visible(pair.method),
    perSecond(pair, view.windowMs).toFixed(1),
    `${(100 * successOf(pair)).toFixed(1)} %`,
    pair.refused === 0 ? "-" : String(pair.refused),
    pair.failed === 0 ? "-" : String(pair.failed),
    renderMs(pair.p50Ms),
    renderMs(pair.p99Ms),
  ]);
  const widths = fittedWidths([headings, ...rows], columns);
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => {
        const width = widths[at] ?? 0;
        return at < 3 ? cutTo(cell, width).padEnd(width) : cell.padStart(width);
      })
      .join("  ");
  const lines = rows.map((cells, at) => colour(line(cells).trimEnd(), rowColour(view.pairs[at])));
  if (view.pairs.length === 0) lines.push("No call ended in this time.");
  if (view.leftOff > 0) lines.push(`${view.leftOff} more are not shown.`);
  if (view.silent.length > 0) lines.push(`These proxies tell nothing: ${visible(view.silent.join(", "))}`);
  return [colour(head, "dim"), colour(line(headings).trimEnd(), "bold"), ...lines];
}

function rowColour(pair: TrafficPair | undefined): Colour | undefined {
  if (pair === undefined) return undefined;
  if (pair.failed > 0) return "red";
  return pair.refused > 0 ? "yellow" : undefined;
}

const narrowest = 8;

/**
 * Returns the widths of the columns. If there is too little room, names are shortened: the method first, then the
 * longest.
 */
function fittedWidths(rows: readonly (readonly string[])[], columns: number | undefined): number[] {
  const widths = headings.map((_, at) => Math.max(...rows.map((cells) => (cells[at] ?? "").length)));
  if (columns === undefined) return widths;
  let over = widths.reduce((sum, width) => sum + width, 0) + 2 * (widths.length - 1) - (columns - 1);
  for (const at of [2, 0, 1]) {
    const width = widths[at] ?? 0;
    const less = Math.max(0, Math.min(over, width - narrowest));
    widths[at] = width - less;
    over -= less;
  }
  return widths;
}

function cutTo(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}~`;
}
