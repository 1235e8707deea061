/** Finds and stops a nats-server that a killed `ashlar up` left behind. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AshlarError } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { findProcess } from "../../runtime/process-identity.js";

/** The contents of DIR/process.json: the server that was started last. */
export interface RecordedProcess {
  readonly pid: number;
  readonly started: string;
  /** The server's name, created anew at each start of `up`. */
  readonly nonce: string;
  readonly port: number;
}

const stopMsMax = 10_000;

/** Parses process.json; undefined if it is malformed. */
function parseRecordedProcess(text: string): RecordedProcess | undefined {
  try {
    const value = JSON.parse(text) as Partial<RecordedProcess>;
    const { pid, started, nonce, port } = value;
    if (!Number.isSafeInteger(pid) || !Number.isSafeInteger(port)) return undefined;
    if (pid === undefined || port === undefined || typeof started !== "string" || typeof nonce !== "string")
      return undefined;
    return { pid, started, nonce, port };
  } catch {
    return undefined;
  }
}

/**
 * Stops servers that still run on this folder's configuration, and returns what was recorded about the last one. A
 * process is only touched if it was started with `configFile` and, where a start time was recorded, at that time. The
 * server's own pid file is read too, because `up` may have been killed before it could record anything.
 */
export async function stopOrphans(
  dir: string,
  configFile: string,
  clock: Clock,
  log: Logger,
): Promise<RecordedProcess | undefined> {
  const recorded = parseRecordedProcess(await readFile(join(dir, "process.json"), "utf8").catch(() => ""));
  const own = Number((await readFile(join(dir, "nats.pid"), "utf8").catch(() => "")).trim());
  for (const pid of new Set([recorded?.pid ?? 0, own])) {
    const found = pid > 1 ? await findProcess(pid) : undefined; // process 1 is nobody's orphan
    if (found === undefined || !found.command.includes(configFile)) continue;
    if (pid === recorded?.pid && recorded.started !== "" && found.started !== recorded.started) continue;
    log.warn("stopping the NATS server that a killed `ashlar up` left behind", { pid });
    await endProcess(pid, found.started, clock);
  }
  return recorded;
}

/** Ends a process that is not our child: SIGTERM, and SIGKILL after 10 s. */
async function endProcess(pid: number, started: string, clock: Clock): Promise<void> {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    try {
      process.kill(pid, signal);
    } catch {
      return; // the process has just ended
    }
    const deadline = clock.monotonicMs() + stopMsMax;
    while (clock.monotonicMs() < deadline) {
      if ((await findProcess(pid))?.started !== started) return;
      await clock.sleep(20);
    }
  }
  throw new AshlarError("unavailable", `process ${pid} (a nats-server of an earlier run) cannot be stopped`);
}
