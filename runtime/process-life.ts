/**
 * The life of a process that runs until it is told to stop: signals, faults, and a log line for its start and its end.
 */
import { messageOf } from "../core/errors.js";
import type { Logger } from "./log.js";
import { productVersion } from "./product-version.js";
import { renderError } from "./say-error.js";

const signals = ["SIGTERM", "SIGINT"] as const;

/**
 * Runs `work` until it ends, and returns the exit code: 0, or 1 after an uncaught fault. The signal that `work` gets
 * aborts at SIGTERM, SIGINT or such a fault. A second SIGTERM or SIGINT ends the process at once. Fails as `work` does.
 */
export async function liveUntilStopped(
  log: Logger,
  about: Readonly<Record<string, unknown>>,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<0 | 1> {
  const stop = new AbortController();
  const own = { ...about, ashlar: productVersion() };
  let why: Readonly<Record<string, string>> = {};
  let failed = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) {
      log.warn("asked to stop a second time: exiting now, open calls are cut", { ...own, signal });
      process.exit(1);
    }
    why = { signal };
    log.info("stopping", { ...own, ...why });
    stop.abort();
  };
  const onFault = (error: unknown): void => {
    process.stderr.write(renderError(`internal fault, stopping: ${messageOf(error)}`));
    failed = true;
    why = { fault: messageOf(error) };
    if (!stop.signal.aborted) log.error("stopping", { ...own, ...why });
    stop.abort();
  };
  for (const signal of signals) process.on(signal, onSignal);
  process.on("uncaughtException", onFault).on("unhandledRejection", onFault);
  log.info("starting", { ...own, pid: process.pid });
  try {
    await work(stop.signal);
    log.info("stopped", { ...own, ...why });
    return failed ? 1 : 0;
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
    process.off("uncaughtException", onFault).off("unhandledRejection", onFault);
  }
}
