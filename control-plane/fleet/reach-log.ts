/** Logs, once each, which instances callers cannot connect to or have ejected, and when that is over. */
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { Problem } from "./problems.js";

export interface ReachLogDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Returns what callers report now; the subject is the proxy of the instance. */
  problems(): readonly Problem[];
}

const everyMs = 3000;
/** The most lines, so that a caller whose reports change again and again does not fill the log. */
const linesMax = 100;
const refillMs = 3_600_000;

type Told = Map<string, Pick<Problem, "code" | "subject">>;

export class ReachLog {
  readonly #log: Logger;
  /** The proxies of the reported instances, by problem. */
  #told: Told = new Map();
  #lines = 0;
  #beganMs = Number.NEGATIVE_INFINITY;

  constructor(log: Logger) {
    this.#log = log;
  }

  take(problems: readonly Problem[], nowMs: number): void {
    if (problems.length === 0 && this.#told.size === 0) return;
    if (nowMs - this.#beganMs >= refillMs) [this.#beganMs, this.#lines] = [nowMs, 0];
    const now: Told = new Map();
    for (const { code, subject, message } of problems) {
      if (subject === "") continue;
      const key = `${code} ${subject}`;
      if (!this.#told.has(key) && !this.#mayWrite()) continue;
      now.set(key, { code, subject });
      if (!this.#told.has(key)) this.#log.warn(message, { proxy: subject });
    }
    for (const [key, { code, subject: proxy }] of this.#told) if (!now.has(key)) this.#log.info(over(code), { proxy });
    this.#told = now;
  }

  #mayWrite(): boolean {
    this.#lines += 1;
    return this.#lines <= linesMax;
  }
}

function over(code: Problem["code"]): string {
  if (code === "instance-ejected") return "no caller says any more that it has ejected an instance";
  return "no caller says any more that it cannot connect to an instance";
}

/** Looks every three seconds until `signal` aborts. */
export async function runReachLog({ clock, log, problems }: ReachLogDeps, signal: AbortSignal): Promise<void> {
  const lines = new ReachLog(log);
  while (!signal.aborted) {
    await clock.sleep(everyMs, signal);
    if (!signal.aborted) lines.take(problems(), clock.monotonicMs());
  }
}
