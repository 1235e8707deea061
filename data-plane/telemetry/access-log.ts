/**
 * Writes the access log: one line of JSON per call. Writing never delays a call. Lines that find no room are counted.
 */
import { messageOf } from "../../core/errors.js";
import type { CompiledAccessLog } from "../../core/policy/compiled-telemetry.js";
import { type LineLog, openLineLog } from "../../runtime/line-log.js";
import type { Logger } from "../../runtime/log.js";
import type { CallFacts } from "../proxy/forward/call-facts.js";
import { type CallLine, callLine } from "./call-line.js";

export interface AccessLogTotals {
  readonly written: number;
  readonly dropped: number;
}

/** The longest value of a header in a line. */
const valueMax = 256;

export class AccessLog {
  readonly #path: string;
  readonly #errors: Logger;
  #log: LineLog | undefined;
  #written = 0;

  /** `path`: a file, or "-" for standard output. */
  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#errors = log;
  }

  get totals(): AccessLogTotals {
    return { written: this.#written, dropped: this.#log?.dropped ?? 0 };
  }

  write(call: CallFacts, policy: CompiledAccessLog | undefined, nowMs: number, traceId: string): void {
    const headers = headersOf(call, policy);
    const line: CallLine & { readonly headers?: object } = {
      ...callLine(call, nowMs, traceId),
      ...(headers === undefined ? {} : { headers }),
    };
    this.#log ??= this.#open();
    if (this.#log.write(line)) this.#written++;
  }

  /** Resolves when the accepted lines are written or cannot be. */
  async close(): Promise<void> {
    await this.#log?.close();
  }

  /** Opens the file with the first line, because most proxies write none. */
  #open(): LineLog {
    return openLineLog(this.#path, (error) => {
      this.#errors.error("the access log cannot be written", { path: this.#path, error: messageOf(error) });
    });
  }
}

function headersOf(call: CallFacts, policy: CompiledAccessLog | undefined): Record<string, string> | undefined {
  if (policy === undefined || policy.headers.length + policy.redact.length === 0) return undefined;
  const shown: Record<string, string> = {};
  for (const name of policy.headers) {
    const value = call.header(name);
    if (value !== undefined) shown[name] = value.slice(0, valueMax);
  }
  for (const name of policy.redact) if (call.header(name) !== undefined) shown[name] = "[redacted]";
  return shown;
}
