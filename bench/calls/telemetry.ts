/** Traces and the access log of a proxy, for an in-memory mesh. */
import { randomBytes } from "node:crypto";
import { devNull } from "node:os";
import { encodeTapReport } from "../../core/wire/look.js";
import { CallTap } from "../../data-plane/look/call-tap.js";
import type { CallPolicy } from "../../data-plane/ports.js";
import type { CallWatch } from "../../data-plane/proxy/call-watch.js";
import type { Metrics } from "../../data-plane/status/metrics.js";
import { AccessLog } from "../../data-plane/telemetry/access-log.js";
import { CallTelemetry } from "../../data-plane/telemetry/call-telemetry.js";
import { SpanExport, type SpanExporter } from "../../data-plane/telemetry/span-export.js";
import { systemClock } from "../../runtime/clock.js";
import { silentLogger } from "../../runtime/log.js";
import { StatementPki, writerOf } from "../../test/support/statements.js";

/**
 * "none": the proxy has no such part; "off": it has, and policy asks for nothing; "on": 1 % traces, refusals logged;
 * "tapped" and "tapped-elsewhere": as "off", while an operator taps the called service or another one.
 */
export type TelemetryMode = "none" | "off" | "on" | "tapped" | "tapped-elsewhere";

/** By mode: the service whose calls are tapped. */
const tapped: Readonly<Partial<Record<TelemetryMode, string>>> = { tapped: "echo", "tapped-elsewhere": "payments" };

/** The policy for "on". */
export const telemetryPolicy = `
---
kind: Telemetry
name: all
traces: { share: 1% }
accessLog: { share: 0, refused: all }
`;

/** Returns an exporter that drops spans at once, so that the cost of encoding and sending them is not measured. */
function discardingExporter(): SpanExporter {
  return { export: (_spans, done) => done({ code: 0 }), shutdown: async () => {} };
}

export function watchFor(mode: TelemetryMode, policy: CallPolicy, { calls: table }: Metrics): CallWatch | undefined {
  if (mode === "none") return undefined;
  const log = silentLogger;
  const spans =
    mode === "on"
      ? new SpanExport({ exporter: discardingExporter(), clock: systemClock, log, url: "memory" })
      : undefined;
  const resource = { attributes: { "service.name": "bench" }, asyncAttributesPending: false } as const;
  const watch = new CallTelemetry({
    ...{ policy, clock: systemClock, draw: Math.random, random: randomBytes, spans, table, resource },
    log: new AccessLog(devNull, log),
    productVersion: "bench",
  });
  const service = tapped[mode];
  if (service !== undefined) watch.tap = openTap(service);
  return watch;
}

/** Signs what it tells, as a proxy does; what NATS costs is not measured. */
function openTap(service: string): CallTap {
  const identity = new StatementPki().issue("echo", "p1");
  const writer = writerOf(identity);
  const tap = new CallTap(systemClock, (report) => {
    writer.sign("look", encodeTapReport(report, identity));
  });
  tap.want([{ id: "ab".repeat(16), filter: { service, caller: "", method: "", refused: false, slowMs: 0 } }]);
  return tap;
}
