/**
 * Asks proxies to report calls: signs an order, repeats it while somebody looks, receives the signed reports, and takes
 * the order back (decision 0046). Nothing is subscribed or sent while nobody looks.
 */
import { messageOf } from "../../core/errors.js";
import type { SpiffeId } from "../../core/identity.js";
import { countsEveryMs, type LookOrder, type TapFilter } from "../../core/look/look-model.js";
import type { Signer } from "../../core/signature.js";
import type { FleetWriter } from "../../core/wire/fleet.js";
import { signLookOrder } from "../../core/wire/look.js";
import { lookOrderSubject, lookSubject } from "../../core/wire/subjects.js";
import type { Bus, BusMessage } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { StatementReader } from "../../runtime/statement-reader.js";

export interface LookDeskDeps {
  readonly mesh: string;
  readonly signer: Signer;
  readonly bus: Pick<Bus, "publish" | "subscribe">;
  readonly reader: Pick<StatementReader, "hear">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: (count: number) => Uint8Array;
}

/** The milliseconds after which an order is repeated, so that proxies that joined meanwhile hear it. */
const repeatMs = 3000;
/** The milliseconds for which proxies report if the control plane cannot take its order back. */
const validMs = 10_000;
const queuedMax = 8192;
const warnEveryMs = 10_000;

export class LookDesk {
  readonly #deps: LookDeskDeps;
  #warnedMs = Number.NEGATIVE_INFINITY;
  #lastMs = 0;

  constructor(deps: LookDeskDeps) {
    this.#deps = deps;
  }

  /**
   * Begins a look; `tap` undefined: at counts. `hear` is called with each answer whose proxy signed it: its bytes, and
   * the order's id that they must name. `everyMs` is asked with each order how often counts are wanted. Returns a
   * function that ends the look.
   */
  open(
    tap: TapFilter | undefined,
    operator: SpiffeId,
    hear: (bytes: Uint8Array, writer: FleetWriter, id: string) => void,
    everyMs: () => number = () => countsEveryMs.min,
  ): () => void {
    const { bus, clock, random } = this.#deps;
    const id = Buffer.from(random(16)).toString("hex");
    const subscription = bus.subscribe(lookSubject("*", "*", id), { queueMax: queuedMax });
    void (async () => {
      for await (const message of subscription) this.#hear(message, (bytes, writer) => hear(bytes, writer, id));
    })();
    const stop = new AbortController();
    void (async () => {
      while (!stop.signal.aborted) {
        this.#order({ id, tap, operator, validMs, everyMs: everyMs() });
        await clock.sleep(repeatMs, stop.signal);
      }
      this.#order({ id, tap, operator, validMs: 0, everyMs: countsEveryMs.min });
    })();
    return () => {
      stop.abort();
      subscription.close();
    };
  }

  #order(order: Omit<LookOrder, "issuedMs">): void {
    const { bus, clock, mesh, signer, log } = this.#deps;
    // A proxy takes an order that is not newer than the last one for a replay by somebody else.
    this.#lastMs = Math.max(Math.round(clock.nowMs()), this.#lastMs + 1);
    try {
      bus.publish(lookOrderSubject, signLookOrder({ ...order, issuedMs: this.#lastMs }, mesh, signer).bytes);
    } catch (error) {
      log.warn("proxies cannot be asked about calls", { why: messageOf(error) });
    }
  }

  #hear(message: BusMessage, hear: (bytes: Uint8Array, writer: FleetWriter) => void): void {
    const { reader, clock, log } = this.#deps;
    try {
      const { writer, signed } = reader.hear("look", message);
      if (signed !== undefined && signed.revoked === undefined) hear(message.data, writer);
    } catch (error) {
      if (clock.monotonicMs() - this.#warnedMs < warnEveryMs) return;
      this.#warnedMs = clock.monotonicMs();
      log.warn("what a proxy tells about calls is refused", {
        subject: message.subject.slice(0, 200),
        why: messageOf(error),
      });
    }
  }
}
