/** Merges the status of several proxies in one process, each under its service's name. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { type MetricsFormat, type MetricsText, writeInTurns } from "../../runtime/metrics-text.js";
import type { StatusSources } from "../../runtime/status-server.js";
import type { HostedService } from "./host.js";

/** The metrics text of one service; undefined: the text gets no service label. */
interface Part {
  readonly service: string | undefined;
  readonly text: MetricsText;
}

/** Metric families about the process, which any service may report. */
const ofProcess = /^(process_|ashlar_(heap_used_bytes|external_bytes|event_loop_delay_seconds)$)/;
const seriesPattern = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{)?/;

/**
 * `own`: the sources of the command line's service `name`, or of the process if it is undefined. `others`: the other
 * services, read at each request.
 */
export function mergedStatus(
  own: StatusSources,
  name: string | undefined,
  others: () => readonly HostedService[],
): StatusSources {
  const named = (lines: readonly string[], service: string): string[] => lines.map((line) => `${service}: ${line}`);
  return {
    reasonsNotReady: () => [
      ...own.reasonsNotReady(),
      ...others().flatMap((one) => named(whyNotReady(one), one.service)),
    ],
    problems: () => [
      ...own.problems(),
      ...others().flatMap(({ service, running }) => named(running?.status.problems() ?? [], service)),
    ],
    metrics: async (format) => {
      const parts: Part[] = [{ service: undefined, text: await own.metrics(format) }];
      for (const { service, running } of others())
        if (running !== undefined) parts.push({ service, text: await running.status.metrics(format) });
      return mergeMetrics(format, parts);
    },
    of: (service) => (service === name ? own : others().find((one) => one.service === service)?.running?.status),
  };
}

function whyNotReady({ state, why, running }: HostedService): readonly string[] {
  if (running !== undefined) return running.status.reasonsNotReady();
  return [state === "failed" ? `it does not run: ${why.split("\n", 1)[0]}` : "it is starting"];
}

interface Family {
  readonly head: string[];
  readonly series: string[];
}

/**
 * Merges the texts of several scrapes: each family once, and its series with the label `proxy` for their service.
 * Processes one piece of a text in a turn.
 */
export async function mergeMetrics(format: MetricsFormat, parts: readonly Part[]): Promise<MetricsText> {
  const families = new Map<string, Family>();
  for (const { service, text } of parts) await addText(families, service, text);
  return writeInTurns(
    format,
    [...families.values()].map(({ head, series }) => [...head, ...series]),
  );
}

async function addText(families: Map<string, Family>, service: string | undefined, text: MetricsText): Promise<void> {
  let current: Family | undefined;
  for (const piece of text) {
    for (const line of piece.split("\n")) {
      if (line === "" || line === "# EOF") continue;
      const [, comment, name = ""] = /^# (HELP|TYPE) (\S+)/.exec(line) ?? [];
      if (comment === "HELP") {
        const isKnown = families.get(name);
        current = isKnown ?? { head: [], series: [] };
        if (service !== undefined && ofProcess.test(name)) current = undefined;
        else families.set(name, current);
      }
      if (current === undefined) continue;
      if (comment === undefined) current.series.push(service === undefined ? line : labelled(line, service));
      else if (!current.head.includes(line)) current.head.push(line);
    }
    await nextTurn();
  }
}

function labelled(line: string, service: string): string {
  return line.replace(seriesPattern, (_, name: string, brace?: string) =>
    brace === undefined ? `${name}{proxy="${service}"}` : `${name}{proxy="${service}",`,
  );
}
