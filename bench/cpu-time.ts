import { readFileSync } from "node:fs";

const ticksPerSecond = 100; // USER_HZ, which Linux fixes for /proc

/** CPU seconds (user and system) that a process and its threads have used; from /proc, so on Linux only. */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The name may have spaces; the fields after it do not.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}
