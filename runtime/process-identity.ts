/** Identifies a process by its id and start time, because ids are reused. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A running process. */
export interface ProcessIdentity {
  /** When the process started, in the system's own unit; it is only compared. */
  readonly started: string;
  readonly command: string;
}

/** Returns the process that runs as `pid`, or undefined if there is none. A zombie does not count. */
export async function findProcess(pid: number): Promise<ProcessIdentity | undefined> {
  if (!Number.isSafeInteger(pid) || pid < 1) return undefined;
  try {
    const [stat, command] = await Promise.all([
      readFile(`/proc/${pid}/stat`, "utf8"),
      readFile(`/proc/${pid}/cmdline`, "utf8"),
    ]);
    // fields from number 3 on, because the name before them may contain spaces
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    return { started: fields[19] ?? "", command: command.replaceAll("\0", " ").trim() };
  } catch {
    return findByPs(pid);
  }
}

async function findByPs(pid: number): Promise<ProcessIdentity | undefined> {
  if (process.platform === "linux") return undefined;
  try {
    const { stdout } = await run("ps", ["-ww", "-o", "lstart=,command=", "-p", String(pid)], { timeout: 5000 });
    const line = stdout.trim();
    const started = line.slice(0, 24); // "Sun Nov 22 00:17:35 2026"
    return line === "" ? undefined : { started, command: line.slice(24).trim() };
  } catch {
    return undefined;
  }
}
