/**
 * Receives orders to report calls, each signed by a control plane and valid for some seconds (decision 0046). An order
 * that is forged, old, repeated or of another mesh has no effect.
 */
import { BoundedMap } from "../../core/bounded-map.js";
import { AshlarError, messageOf } from "../../core/errors.js";
import { type LookOrder, lookValidMsMax } from "../../core/look/look-model.js";
import type { Signed, Trust } from "../../core/model.js";
import type { KeySet } from "../../core/signature.js";
import { verifyLookOrder } from "../../core/wire/look.js";
import { keySetOf } from "../../core/wire/records.js";
import { lookOrderSubject } from "../../core/wire/subjects.js";
import { onAbort } from "../../runtime/abort.js";
import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import { Rate } from "../telemetry/rate.js";

export interface HeardOrdersDeps {
  readonly bus: Pick<Bus, "subscribe">;
  readonly mesh: string;
  readonly sync: {
    readonly trusting: Signed<Trust> | undefined;
    /** How many milliseconds this machine's clock is ahead of the control plane's; undefined: not known. */
    readonly clockAheadMs: number | undefined;
  };
  readonly clock: Clock;
  readonly log: Logger;
}

/** The most looks that are answered at once. */
const looksMax = 16;
/** The most ids of looks that are remembered, so that an old order is not taken for a new look. */
const idsMax = 1000;
/** The most orders that are verified in a second; those of one look come every three seconds. */
const verifiedPerSecond = 50;
/** The most milliseconds by which an order may be older or newer than the local clock says, because clocks differ. */
const skewMs = 10_000;
const sweepMs = 500;
const warnEveryMs = 10_000;

export class HeardOrders {
  readonly #deps: HeardOrdersDeps;
  readonly #signal: AbortSignal;
  readonly #verified = new Rate(verifiedPerSecond);
  /** When the last order of each look was issued. */
  readonly #issued = new BoundedMap<string, number>(idsMax);
  /** Looks by id, with the time on the monotonic clock until which they are answered. */
  readonly #active = new Map<string, { order: LookOrder; untilMs: number }>();
  readonly #listeners = new Set<() => void>();
  #keys: { readonly of: Signed<Trust>; readonly keys: KeySet } | undefined;
  #sweeping = false;
  #warnedMs = Number.NEGATIVE_INFINITY;

  /** Listens until `signal` aborts. */
  constructor(deps: HeardOrdersDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    const subscription = deps.bus.subscribe(lookOrderSubject, { queueMax: verifiedPerSecond });
    onAbort(signal, () => subscription.close());
    void (async () => {
      for await (const { data } of subscription) this.hear(data);
    })();
  }

  /** The looks that are to be answered now. */
  get active(): readonly LookOrder[] {
    return [...this.#active.values()].map(({ order }) => order);
  }

  /** Calls `listener` when a look begins or ends. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  hear(bytes: Uint8Array): void {
    const { clock, log } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (!this.#verified.take(nowMs)) return;
    try {
      this.#take(this.#verify(bytes), nowMs);
    } catch (error) {
      if (nowMs - this.#warnedMs < warnEveryMs) return;
      this.#warnedMs = nowMs;
      log.warn("an order to tell about calls is refused", { why: messageOf(error) });
    }
  }

  #verify(bytes: Uint8Array): LookOrder {
    const { mesh, sync, clock } = this.#deps;
    const { trusting } = sync;
    if (trusting === undefined) throw new AshlarError("unauthenticated", "there is no trust record yet");
    if (this.#keys?.of !== trusting) this.#keys = { of: trusting, keys: keySetOf(trusting.body) };
    const { body: order } = verifyLookOrder(bytes, mesh, this.#keys.keys);
    const oldMs = clock.nowMs() - (sync.clockAheadMs ?? 0) - order.issuedMs;
    if (oldMs > order.validMs + skewMs || oldMs < -skewMs)
      throw new AshlarError(
        "stale",
        `it was issued ${Math.round(oldMs / 1000)} s ago and valid for ${order.validMs} ms`,
      );
    if (order.issuedMs <= (this.#issued.get(order.id) ?? 0)) throw new AshlarError("stale", "it came before");
    return order;
  }

  #take(order: LookOrder, nowMs: number): void {
    const { id, validMs } = order;
    this.#issued.set(id, order.issuedMs);
    const known = this.#active.get(id);
    if (validMs === 0) {
      if (known !== undefined) this.#end([id], "its operator left");
      return;
    }
    const untilMs = nowMs + Math.min(validMs, lookValidMsMax);
    if (known !== undefined) {
      known.order = order; // what it asks for is the same, how often may not be
      known.untilMs = untilMs;
      return;
    }
    if (this.#active.size >= looksMax)
      throw new AshlarError("limit", `${looksMax} looks are answered already: no more are at once`);
    this.#active.set(id, { order, untilMs });
    this.#say(order, "somebody looks at calls", {});
    this.#changed();
    if (!this.#sweeping) void this.#sweep();
  }

  async #sweep(): Promise<void> {
    this.#sweeping = true;
    while (this.#active.size > 0 && !this.#signal.aborted) {
      await this.#deps.clock.sleep(sweepMs, this.#signal);
      const nowMs = this.#deps.clock.monotonicMs();
      const over = [...this.#active].filter(([, { untilMs }]) => untilMs <= nowMs).map(([id]) => id);
      if (over.length > 0) this.#end(over, "nobody renewed the order");
    }
    this.#sweeping = false;
  }

  #end(ids: readonly string[], why: string): void {
    for (const id of ids) {
      const ended = this.#active.get(id);
      this.#active.delete(id);
      if (ended !== undefined) this.#say(ended.order, "nobody looks at calls any more", { why });
    }
    this.#changed();
  }

  /** A tap shows single calls, so it is told; counts are in the metrics anyhow. */
  #say({ tap, operator, id }: LookOrder, what: string, more: object): void {
    this.#deps.log[tap === undefined ? "debug" : "info"](what, { operator, look: id, ...tap, ...more });
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
