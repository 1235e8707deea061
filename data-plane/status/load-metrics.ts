import { Counter, Gauge, type Registry } from "prom-client";
import type { MemoryBudget } from "../http2/memory-budget.js";
import { type Overload, overloadCauses } from "../proxy/overload.js";
import type { RetryBudget } from "../proxy/retry-budget.js";
import type { WaitCounters } from "../proxy/stream-queue.js";

export interface LoadSources {
  readonly budget: MemoryBudget;
  readonly overload: Overload;
  readonly retries: RetryBudget;
  readonly waits: WaitCounters;
}

/** How near this process is to its bounds, and what it refused for them; read when the metrics are asked for. */
export function reportLoad(registers: Registry[], { budget, overload, retries, waits }: LoadSources): void {
  const read = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  read("ashlar_buffer_bytes", "Held for peers that have not taken it yet.", () => budget.usedBytes);
  read("ashlar_buffer_peak_bytes", "The most that was ever held.", () => budget.peakBytes);
  read("ashlar_buffer_limit_bytes", "What may be held (--buffer-mib).", () => budget.maxBytes);
  read("ashlar_heap_share", "Of the JavaScript heap's limit, in use.", () => overload.heapShare);
  read("ashlar_event_loop_lag_seconds", "How late the event loop was at the last look.", () => overload.lagMs / 1000);
  read("ashlar_overloaded", "1 while new calls are refused.", () => (overload.cause === undefined ? 0 : 1));
  read("ashlar_calls_waiting", "Calls that wait for a stream to an application or another proxy.", () => waits.waiting);
  new Counter({
    name: "ashlar_calls_waited_total",
    help: "Calls for which there was no stream at once, by what became of them: they had to wait, or were refused as too many did.",
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
    help: "Calls and connections that were refused because this process had no room, by cause.",
    labelNames: ["cause"],
    registers,
    collect() {
      this.reset();
      for (const cause of overloadCauses) this.inc({ cause }, overload.refused(cause));
    },
  });
  new Counter({
    name: "ashlar_retries_refused_total",
    help: "Calls that were not sent again because a fifth of all calls had been already.",
    registers,
    collect() {
      this.reset();
      this.inc(retries.refused);
    },
  });
}
