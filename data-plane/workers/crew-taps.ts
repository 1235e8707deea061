/**
 * Taps of calls that workers carry. All workers look for such calls, and the first process reports them, within the
 * bound for one proxy.
 */
import { type TapReport, tappedCallsMax } from "../../core/look/look-model.js";
import type { FleetWriter } from "../../core/wire/fleet.js";
import { parseTapReport } from "../../core/wire/look.js";
import type { Clock } from "../../runtime/clock.js";
import type { WantedTap } from "../look/call-tap.js";
import { Rate } from "../telemetry/rate.js";
import type { Crew } from "./crew.js";

export class CrewTaps {
  readonly #crew: Pick<Crew, "say" | "briefed">;
  readonly #clock: Clock;
  #taps: readonly WantedTap[] = [];
  #rates = new Map<string, Rate>();
  #tell: ((report: TapReport) => void) | undefined;

  constructor(crew: Pick<Crew, "say" | "briefed">, clock: Clock) {
    this.#crew = crew;
    this.#clock = clock;
  }

  want(taps: readonly WantedTap[], tell: (report: TapReport) => void): void {
    if (taps.length === 0 && this.#taps.length === 0) return;
    this.#taps = taps;
    this.#tell = tell;
    this.#rates = new Map(taps.map(({ id }) => [id, this.#rates.get(id) ?? new Rate(tappedCallsMax)]));
    for (const worker of this.#crew.briefed) this.#crew.say(worker, { kind: "taps", taps });
  }

  brief(worker: number): void {
    if (this.#taps.length > 0) this.#crew.say(worker, { kind: "taps", taps: this.#taps });
  }

  /** Takes a worker's report. Fails with `invalid_record` or `limit` if the bytes are no valid report. */
  hear(bytes: Uint8Array, writer: FleetWriter): void {
    const { order, calls, dropped } = parseTapReport(bytes, writer);
    const rate = this.#rates.get(order);
    if (rate === undefined) return; // nobody looks any more
    const nowMs = this.#clock.monotonicMs();
    const told = calls.filter(() => rate.take(nowMs));
    this.#tell?.({ order, calls: told, dropped: dropped + calls.length - told.length });
  }
}
