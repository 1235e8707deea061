import type { Logger } from "../../../runtime/log.js";

const lineEveryMs = 10_000;

/**
 * Logs warnings that callers or applications cause: at most one line in ten seconds, with the number of warnings that
 * it stands for.
 */
export class SeldomLog {
  readonly #log: Logger;
  #nextMs = Number.NEGATIVE_INFINITY;
  #more = 0;

  constructor(log: Logger) {
    this.#log = log;
  }

  warn(nowMs: number, message: string, about: Readonly<Record<string, unknown>>): void {
    if (nowMs < this.#nextMs) {
      this.#more++;
      return;
    }
    this.#log.warn(message, this.#more === 0 ? about : { ...about, moreSinceTheLastLine: this.#more });
    this.#nextMs = nowMs + lineEveryMs;
    this.#more = 0;
  }
}
