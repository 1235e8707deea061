/** Log lines about proxies that come and go. */
import type { Heartbeat } from "../../core/model.js";
import type { Logger } from "../../runtime/log.js";

/**
 * The most lines: each proxy of a starting fleet gets one, and a proxy that comes and goes endlessly does not fill the
 * log.
 */
const linesMax = 1000;
const refillMs = 60_000;

export class FleetLog {
  readonly #log: Logger;
  readonly #monotonicMs: () => number;
  #beganMs = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #unsaid = 0;

  constructor(log: Logger, monotonicMs: () => number) {
    this.#log = log;
    this.#monotonicMs = monotonicMs;
  }

  came(heartbeat: Heartbeat): void {
    this.#say("info", "a proxy is there", heartbeat);
  }

  left(heartbeat: Heartbeat): void {
    this.#say("info", "a proxy left", heartbeat);
  }

  fellSilent(heartbeats: readonly Heartbeat[]): void {
    for (const each of heartbeats) this.#say("warn", "a proxy fell silent without leaving", each);
  }

  #say(level: "info" | "warn", message: string, { proxyId, service, version }: Heartbeat): void {
    const nowMs = this.#monotonicMs();
    if (nowMs - this.#beganMs >= refillMs) [this.#beganMs, this.#lines] = [nowMs, 0];
    if (this.#lines >= linesMax) {
      this.#unsaid += 1;
      return;
    }
    this.#lines += 1;
    const unsaid = this.#unsaid === 0 ? {} : { unsaidBefore: this.#unsaid };
    this.#unsaid = 0;
    this.#log[level](message, { proxy: proxyId, service, version, ...unsaid });
  }
}
