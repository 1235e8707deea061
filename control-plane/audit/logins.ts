/**
 * Records who used the admin API: each certificate from each host once an hour, so that frequent reading does not fill
 * the log.
 */
import type { Clock } from "../../runtime/clock.js";
import type { AuditTrail, Caller } from "./audit-trail.js";
import { hostOf } from "./refusal-limit.js";

export interface LoginsDeps {
  readonly audit: AuditTrail;
  readonly clock: Pick<Clock, "nowMs">;
}

const hourMs = 3_600_000;
/** The most logins recorded in an hour; further ones are recorded as one entry. */
const notedMax = 1000;

export class Logins {
  readonly #deps: LoginsDeps;
  readonly #noted = new Set<string>();
  #hour = 0;

  constructor(deps: LoginsDeps) {
    this.#deps = deps;
  }

  /** Resolves once the login is recorded; `serial` is the serial number of the caller's certificate. */
  async note(caller: Caller, serial: string): Promise<void> {
    const { audit, clock } = this.#deps;
    const hour = Math.floor(clock.nowMs() / hourMs);
    if (hour !== this.#hour) this.#noted.clear();
    this.#hour = hour;
    const kind = `${caller.id} ${serial} ${hostOf(caller.source)}`;
    if (this.#noted.has(kind) || this.#noted.size > notedMax) return;
    const isLast = this.#noted.size === notedMax;
    this.#noted.add(kind);
    const more = isLast ? `; the last that is noted this hour, of ${notedMax}` : "";
    const { id: actor, source } = caller;
    await audit.record({
      actor,
      source,
      action: "login",
      target: "admin API",
      outcome: "ok",
      detail: `certificate ${serial}${more}`,
    });
  }
}
