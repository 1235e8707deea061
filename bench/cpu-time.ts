import { readdirSync, readFileSync } from "node:fs";

const ticksPerSecond = 100; // USER_HZ, which Linux fixes for /proc

/** Returns the CPU seconds (user and system) that a process and its threads have used, from /proc, so on Linux only. */
export function cpuSecondsOf(pid: number): number {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    return threads.reduce((sum, thread) => sum + nanosecondsOf(`/proc/${pid}/task/${thread}/schedstat`), 0) / 1e9;
  } catch {
    return ticksOf(pid) / ticksPerSecond; // this kernel counts only ticks
  }
}

function nanosecondsOf(path: string): number {
  return Number(readFileSync(path, "utf8").split(" ")[0]);
}

function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name may have spaces; the fields after it do not.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
