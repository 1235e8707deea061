/**
 * Answers orders to tell about calls: counts as often as the orders say, single calls as they end. Without an order it
 * does nothing.
 */
import { messageOf } from "../../core/errors.js";
import { countsEveryMs, type LookOrder, type TapReport } from "../../core/look/look-model.js";
import { encodeTapReport, encodeTrafficReport } from "../../core/wire/look.js";
import { lookSubject } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { StatementWriter } from "../../runtime/statement-writer.js";
import type { IdentityView } from "../ports.js";
import type { KindCounts } from "../status/call-table.js";
import type { WantedTap } from "./call-tap.js";
import type { HeardOrders } from "./heard-orders.js";
import { TellingRight } from "./telling-right.js";
import { TrafficDeltas } from "./traffic-deltas.js";

/** What carries calls and can report them. */
export interface ToldCarrying {
  /** Returns the counts of calls by kind over all processes. */
  countCalls(): Promise<readonly KindCounts[]>;
  /** Sets the taps that are wanted from now on; `tell` receives their calls. */
  tap(taps: readonly WantedTap[], tell: (report: TapReport) => void): void;
}

export interface CallTellerDeps {
  readonly bus: Pick<Bus, "publish" | "connected" | "reconnect" | "onStatus">;
  readonly identity: IdentityView;
  readonly statements: Pick<StatementWriter, "sign">;
  /** Whether this process acts for the proxy. */
  readonly tenure: { readonly isOwner: boolean };
  readonly carrying: ToldCarrying;
  readonly orders: Pick<HeardOrders, "active" | "onChange">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
}

/** The milliseconds over which a fleet spreads its first answers, because it hears of an order at one moment. */
const spreadMs = 400;
/** A proxy without calls says so at least so often, so that it is known to answer. */
const silentMsMax = 5000;

/** Answers orders until `signal` aborts. */
export function tellOfCalls(deps: CallTellerDeps, signal: AbortSignal): void {
  const right = new TellingRight(deps);
  const teller = new CallTeller(deps, right, signal);
  deps.orders.onChange(() => teller.changed());
}

class CallTeller {
  readonly #deps: CallTellerDeps;
  readonly #right: TellingRight;
  readonly #signal: AbortSignal;
  #counting = false;

  constructor(deps: CallTellerDeps, right: TellingRight, signal: AbortSignal) {
    this.#deps = deps;
    this.#right = right;
    this.#signal = signal;
  }

  changed(): void {
    const { orders, carrying } = this.#deps;
    const taps = orders.active.flatMap(({ id, tap }) => (tap === undefined ? [] : [{ id, filter: tap }]));
    carrying.tap(taps, (report) => this.#tellTapped(report));
    if (!this.#counting && this.#counted.length > 0) void this.#count();
  }

  get #counted(): readonly LookOrder[] {
    return this.#deps.orders.active.filter(({ tap }) => tap === undefined);
  }

  async #count(): Promise<void> {
    const { clock, carrying, random } = this.#deps;
    this.#counting = true;
    const deltas = new TrafficDeltas();
    await clock.sleep(random() * spreadMs, this.#signal);
    deltas.take(await carrying.countCalls());
    let [sinceMs, silentMs] = [clock.monotonicMs(), 0];
    this.#tellCounts([], 0);
    let everyMs = countsEveryMs.min; // whoever began to look sees something soon
    while (this.#counted.length > 0 && !this.#signal.aborted) {
      await clock.sleep(everyMs, this.#signal);
      const told = deltas.take(await carrying.countCalls());
      silentMs += everyMs;
      if (told.length > 0 || silentMs >= silentMsMax) {
        this.#tellCounts(told, clock.monotonicMs() - sinceMs);
        silentMs = 0;
      }
      sinceMs = clock.monotonicMs();
      everyMs = Math.min(countsEveryMs.max, ...this.#counted.map((order) => order.everyMs));
    }
    this.#counting = false;
  }

  #tellCounts(counts: ReturnType<TrafficDeltas["take"]>, ms: number): void {
    const { identity } = this.#deps;
    const { service, proxyId } = identity.current;
    for (const { id: order } of this.#counted) {
      const report = { order, intervalMs: Math.round(ms), counts };
      this.#publish(order, () => encodeTrafficReport(report, { service, proxyId }));
    }
  }

  #tellTapped(report: TapReport): void {
    const { service, proxyId } = this.#deps.identity.current;
    this.#publish(report.order, () => encodeTapReport(report, { service, proxyId }));
  }

  #publish(order: string, encode: () => Uint8Array): void {
    const { bus, identity, statements, tenure, log } = this.#deps;
    if (!bus.connected || !tenure.isOwner || !this.#right.isGiven()) return;
    const { service, proxyId } = identity.current;
    try {
      const bytes = encode();
      bus.publish(lookSubject(service, proxyId, order), bytes, statements.sign("look", bytes));
    } catch (error) {
      log.warn("what was asked about calls cannot be told", { why: messageOf(error) });
    }
  }
}
