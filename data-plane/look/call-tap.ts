/** Reports single calls that have ended to those who asked for them, within bounds (decision 0046). */
import { status } from "@grpc/grpc-js";
import {
  isMethodOf,
  isRefusalStatus,
  type TapFilter,
  type TappedCall,
  type TapReport,
  tappedCallsMax,
  toldNameMax,
} from "../../core/look/look-model.js";
import type { Clock } from "../../runtime/clock.js";
import type { CallFacts } from "../proxy/forward/call-facts.js";
import { callerName } from "../status/call-table.js";
import { Rate } from "../telemetry/rate.js";
import { SeenCall } from "../telemetry/seen-call.js";

/** A tap that an order asks for. Plain data, because workers receive it in a message. */
export interface WantedTap {
  readonly id: string;
  readonly filter: TapFilter;
}

interface OpenTap extends WantedTap {
  readonly rate: Rate;
  calls: TappedCall[];
  dropped: number;
}

/** The milliseconds for which calls are gathered for one report. */
const gatherMs = 100;
/** The most calls in one report: its part of what a proxy may report in a second. */
const gatheredMax = tappedCallsMax / 2;

export class CallTap {
  readonly #clock: Clock;
  readonly #tell: (report: TapReport) => void;
  #taps: readonly OpenTap[] = [];
  #gathering = false;

  /** `tell` is called with the gathered calls, soon after they were gathered. */
  constructor(clock: Clock, tell: (report: TapReport) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** Sets the taps that are wanted from now on. */
  want(taps: readonly WantedTap[]): void {
    this.#taps = taps.map(({ id, filter }) => {
      const open = this.#taps.find((one) => one.id === id);
      return open ?? { id, filter, rate: new Rate(tappedCallsMax), calls: [], dropped: 0 };
    });
  }

  /** Offers a call that has ended; its fields can still be read. Must not throw. */
  offer(call: CallFacts): void {
    // A call that the called service's proxy answered is reported by that proxy.
    if (call.isMirrored || (call.reason === undefined && call.direction === "outbound")) return;
    for (const tap of this.#taps) if (isWanted(tap.filter, call)) this.#keep(tap, call);
  }

  #keep(tap: OpenTap, call: CallFacts): void {
    const isRoom = tap.calls.length < gatheredMax && tap.rate.take(this.#clock.monotonicMs());
    if (isRoom) tap.calls.push(tappedCall(call, this.#clock.nowMs()));
    else tap.dropped++;
    if (this.#gathering) return;
    this.#gathering = true;
    void this.#clock.sleep(gatherMs).then(() => this.#flush());
  }

  #flush(): void {
    this.#gathering = false;
    for (const tap of this.#taps) {
      const { id: order, calls, dropped } = tap;
      if (calls.length + dropped === 0) continue;
      tap.calls = [];
      tap.dropped = 0;
      this.#tell({ order, calls, dropped });
    }
  }
}

function isWanted({ service, caller, method, refused, slowMs }: TapFilter, call: CallFacts): boolean {
  if (service !== "" && call.service !== service) return false;
  if (method !== "" && !isMethodOf(method, call.method)) return false;
  if (refused && !isRefusalStatus(call.code)) return false;
  if (slowMs > 0 && call.tookMs < slowMs) return false;
  return caller === "" || call.caller === caller || callerName(call.caller) === caller;
}

function tappedCall(call: CallFacts, timeMs: number): TappedCall {
  const { seen, decision = "", reason = "" } = call;
  const outbound = call.direction === "outbound";
  const cut = (text: string): string => text.slice(0, toldNameMax);
  return {
    timeMs,
    outbound,
    caller: cut(callerName(call.caller)),
    service: cut(call.service),
    method: cut(call.method),
    version: call.version,
    code: call.code >= 0 && call.code <= status.UNAUTHENTICATED ? call.code : status.UNKNOWN,
    reason,
    tookMs: Math.round(call.tookMs * 1000) / 1000,
    revision: call.judgedBy,
    decision,
    attempts: outbound ? call.attempts : 1 + previousAttempts(call.header("grpc-previous-rpc-attempts")),
    traceId: seen instanceof SeenCall ? seen.traceId : "",
  };
}

function previousAttempts(text: string | undefined): number {
  return text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) : 0;
}
