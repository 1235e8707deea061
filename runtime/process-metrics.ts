/** The metrics that every process of a mesh has. */
import { Gauge, type Registry } from "./metric-kinds.js";

/** Registers a gauge whose value is read at each scrape. */
export type ReadGauge = (name: string, help: string, value: () => number) => void;

export function gaugesOf(registers: Registry[]): ReadGauge {
  return (name, help, value) => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  };
}

/** Registers the memory and the CPU time of this process. */
export function watchProcess(read: ReadGauge): void {
  read("process_resident_memory_bytes", "Resident memory of the process.", () => process.memoryUsage.rss());
  read("process_cpu_seconds", "CPU time that the process used, user and system.", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
}
