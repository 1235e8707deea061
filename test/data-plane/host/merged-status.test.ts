/** What --status says of several services of one process. */
import { expect, test } from "@jest/globals";
import { mergedStatus, mergeMetrics } from "../../../data-plane/host/merged-status.js";
import type { StatusSources } from "../../../runtime/status-server.js";

const text = (value: number): string =>
  [
    "# HELP process_cpu_seconds CPU",
    "# TYPE process_cpu_seconds gauge",
    `process_cpu_seconds ${value}`,
    "# HELP ashlar_ready Ready.",
    "# TYPE ashlar_ready gauge",
    `ashlar_ready ${value}`,
    "# HELP ashlar_calls Calls.",
    "# TYPE ashlar_calls counter",
    `ashlar_calls_total{method="a{b}"} ${value} # {trace_id="0a"} 1 2.000`,
    "",
  ].join("\n");

test("each family stands once, a series of a further service has its name, the process is measured once", async () => {
  const parts = [
    { service: undefined, text: text(1).split(/^(?=ashlar_)/m) }, // pieces end where a line ends
    { service: "ledger", text: [text(2), "# EOF\n"] },
  ];
  expect((await mergeMetrics("openmetrics", parts)).join("")).toBe(
    [
      "# HELP process_cpu_seconds CPU",
      "# TYPE process_cpu_seconds gauge",
      "process_cpu_seconds 1",
      "# HELP ashlar_ready Ready.",
      "# TYPE ashlar_ready gauge",
      "ashlar_ready 1",
      'ashlar_ready{proxy="ledger"} 2',
      "# HELP ashlar_calls Calls.",
      "# TYPE ashlar_calls counter",
      'ashlar_calls_total{method="a{b}"} 1 # {trace_id="0a"} 1 2.000',
      'ashlar_calls_total{proxy="ledger",method="a{b}"} 2 # {trace_id="0a"} 1 2.000',
      "# EOF",
      "",
    ].join("\n"),
  );
});

const sources = (ready: readonly string[]): StatusSources => ({
  reasonsNotReady: () => ready,
  problems: () => ready.map((reason) => `problem: ${reason}`),
  metrics: () => Promise.resolve([]),
});
const running = (ready: readonly string[]) => ({
  listening: [],
  status: sources(ready),
  handedOver: new Promise<void>(() => {}),
  stopped: new Promise<void>(() => {}),
});

test("the process is ready when every service is; each is asked by its name", () => {
  const own = sources(["no revision"]);
  const ledger = running(["no application is registered"]);
  const status = mergedStatus(own, "front", () => [
    { service: "ledger", state: "serving", why: "", running: ledger },
    { service: "cron", state: "starting", why: "", running: undefined },
    { service: "late", state: "failed", why: "the token is used up\nsecond line", running: undefined },
  ]);
  expect(status.reasonsNotReady()).toEqual([
    "no revision",
    "ledger: no application is registered",
    "cron: it is starting",
    "late: it does not run: the token is used up",
  ]);
  expect(status.problems()).toEqual(["problem: no revision", "ledger: problem: no application is registered"]);
  expect(status.of?.("front")).toBe(own);
  expect(status.of?.("ledger")).toBe(ledger.status);
  expect(status.of?.("cron")).toBeUndefined();
});
