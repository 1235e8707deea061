import { Counter, type Registry } from "../../runtime/metric-kinds.js";
import { gaugesOf } from "../../runtime/process-metrics.js";
import type { MemoryBudget } from "../http2/memory-budget.js";
import { type Overload, overloadCauses } from "../proxy/overload.js";
import type { WaitCounters } from "../proxy/wait-counters.js";

export interface LoadSources {
  readonly budget: MemoryBudget;
  readonly overload: Overload;
  readonly retries: { readonly refused: number };
  readonly waits: WaitCounters;
}

/** Registers the metrics of memory, delay and refusals for lack of either. They are read at each scrape. */
export function reportLoad(registers: Registry[], { budget, overload, retries, waits }: LoadSources): void {
  const read = gaugesOf(registers);
  read("ashlar_buffer_bytes", "Bytes that are held for peers that have not taken them yet.", () => budget.usedBytes);
  read("ashlar_buffer_peak_bytes", "Highest value of ashlar_buffer_bytes since the start.", () => budget.peakBytes);
  read("ashlar_buffer_limit_bytes", "Limit of ashlar_buffer_bytes, set by --buffer-mib.", () => budget.maxBytes);
  read("ashlar_heap_share", "Used share of the JavaScript heap's limit, 0 to 1.", () => overload.heapShare);
  read(
    "ashlar_event_loop_lag_seconds",
    "Delay of the event loop at the last measurement.",
    () => overload.lagMs / 1000,
  );
  read("ashlar_overloaded", "1 while new calls are refused for lack of memory or time, else 0.", () =>
    overload.cause === undefined ? 0 : 1,
  );
  read(
    "ashlar_calls_waiting",
    "Calls that wait now for a free stream to an application or another proxy.",
    () => waits.waiting,
  );
  new Counter({
    name: "ashlar_calls_waited_total",
    help: "Calls for which no stream was free at once, by whether they waited or were refused because too many waited.",
    labelNames: ["outcome"],
    registers,
    collect() {
      this.reset();
      this.inc({ outcome: "waited" }, waits.waited);
      this.inc({ outcome: "refused" }, waits.refused);
    },
  });
  new Counter({
    name: "ashlar_overload_refusals_total",
    help: "Calls and connections that were refused for lack of memory or time.",
    labelNames: ["cause"],
    registers,
    collect() {
      this.reset();
      for (const cause of overloadCauses) this.inc({ cause }, overload.refused(cause));
    },
  });
  new Counter({
    name: "ashlar_retries_refused_total",
    help: "Calls that were not retried because a fifth of all calls had been retried already.",
    registers,
    collect() {
      this.reset();
      this.inc(retries.refused);
    },
  });
}
