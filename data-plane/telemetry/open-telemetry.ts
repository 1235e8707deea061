/** Puts together what traces and logs calls in one process. */
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { productVersion } from "../../runtime/product-version.js";
import type { CallTap } from "../look/call-tap.js";
import type { CallIdentity, CallPolicy } from "../ports.js";
import type { CallWatch } from "../proxy/call-watch.js";
import type { Metrics } from "../status/metrics.js";
import { AccessLog } from "./access-log.js";
import { CallTelemetry } from "./call-telemetry.js";
import { openExporter, SpanExport } from "./span-export.js";

/** The settings of telemetry. They are plain data, because a worker process receives them in a message. */
export interface TelemetryOptions {
  /** The address of the receiver of spans. undefined: there is none. */
  readonly otlp: string | undefined;
  /** The path of the access log. "-": standard output. */
  readonly accessLog: string;
}

export interface OpenTelemetryDeps {
  readonly policy: CallPolicy;
  readonly identity: { readonly current: CallIdentity };
  readonly clock: Clock;
  readonly log: Logger;
  readonly draw: () => number;
  readonly random: (bytes: number) => Buffer;
  readonly metrics: Pick<Metrics, "calls" | "reportTelemetry">;
}

export interface OpenedTelemetry {
  readonly watch: CallWatch;
  /** Shows ended calls to `tap` from now on. null: to nobody. */
  show(tap: CallTap | null): void;
  /** Writes and sends what waits, within bounds. */
  close(): Promise<void>;
}

export function openTelemetry(deps: OpenTelemetryDeps, { otlp, accessLog }: TelemetryOptions): OpenedTelemetry {
  const { clock, log, metrics } = deps;
  const { mesh, service, version, proxyId } = deps.identity.current;
  const spans =
    otlp === undefined ? undefined : new SpanExport({ exporter: openExporter(otlp), clock, log, url: otlp });
  const lines = new AccessLog(accessLog, log);
  const resource = {
    attributes: {
      "service.name": service,
      "service.namespace": mesh,
      "service.version": version,
      "service.instance.id": proxyId,
    },
    asyncAttributesPending: false,
  } as const;
  const shared = { resource, productVersion: productVersion() };
  const watch = new CallTelemetry({ ...deps, ...shared, spans, log: lines, table: metrics.calls });
  metrics.reportTelemetry({
    spans: () => spans?.totals ?? { exported: 0, failed: 0, dropped: 0 },
    lines: () => {
      const { written, dropped } = lines.totals;
      return { written, dropped: dropped + watch.linesDropped };
    },
  });
  return {
    watch,
    show: (tap) => {
      watch.tap = tap;
    },
    close: async () => {
      await Promise.all([spans?.close(), lines.close()]);
    },
  };
}
