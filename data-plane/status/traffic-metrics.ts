/** Metrics of what routes and resilience settings do with calls: tries, copies, ejections. */
import { status } from "@grpc/grpc-js";
import { Counter, Gauge, type Registry } from "../../runtime/metric-kinds.js";
import type { EndedCall, ProxyMetrics } from "../proxy/proxy-metrics.js";

type TrafficMetrics = Pick<ProxyMetrics, "ejected" | "retried" | "tooLong" | "hedged" | "mirrored" | "returned"> & {
  /** Notes that a copy of a call ended at its destination. */
  copyEnded(call: EndedCall): void;
};

/**
 * Registers the gauge of unreachable instances. A proxy's workers find out the same, so the largest of their numbers
 * counts.
 */
export function reportUnreached(registers: Registry[], read: () => ReadonlyMap<string, number>): void {
  new Gauge({
    name: "ashlar_endpoints_unreached",
    help: "Instances that this proxy cannot connect to where they say that they are (--advertise).",
    labelNames: ["service"],
    aggregator: "max",
    registers,
    collect() {
      this.reset();
      for (const [service, count] of read()) this.set({ service }, count);
    },
  });
}

export function createTrafficMetrics(registers: Registry[]): TrafficMetrics {
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]): Counter<Label> =>
    new Counter({ name, help, labelNames, registers });
  const retries = counter(
    "ashlar_retries_total",
    "Calls that were tried again because the route's retry says so, each time.",
    "service",
  );
  const tooLong = counter(
    "ashlar_retries_too_long_total",
    "Calls that the route's retry would have tried again, had their messages not been longer than 64 KiB.",
    "service",
  );
  const hedges = counter(
    "ashlar_hedges_total",
    "Tries that a route's hedge began beside others: their answer counted (won), another one's did (lost), or they failed.",
    "service",
    "outcome",
  );
  const copies = counter(
    "ashlar_mirrored_calls_total",
    "Copies of calls that a route's mirror made, by what became of them; all but the answered ones were dropped.",
    "service",
    "outcome",
  );
  const ended = counter(
    "ashlar_copied_calls_total",
    "Copies of calls that ended here, by the gRPC status that nobody got.",
    "service",
    "code",
  );
  const ejections = counter(
    "ashlar_ejections_total",
    "Instances that this proxy stopped to call for a while because of what they answered.",
    "service",
    "reason",
  );
  const ejected = new Gauge({
    name: "ashlar_endpoints_ejected",
    help: "Instances that this proxy does not call now because of what they answered.",
    labelNames: ["service"],
    registers,
  });
  return {
    ejected: (service, reason) => {
      ejections.inc({ service, reason });
      ejected.inc({ service });
    },
    retried: (service) => retries.inc({ service }),
    tooLong: (service) => tooLong.inc({ service }),
    hedged: (service, outcome) => hedges.inc({ service, outcome }),
    mirrored: (service, outcome) => copies.inc({ service, outcome }),
    returned: (service) => ejected.dec({ service }),
    copyEnded: ({ service, code }) => ended.inc({ service, code: status[code] ?? String(code) }),
  };
}
