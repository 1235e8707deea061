/** Asks proxies to prepare a revision that is about to be activated and that they do not hold (decision 0060). */
import { messageOf } from "../../core/errors.js";
import type { Revision, Signed } from "../../core/model.js";
import { isKeptPrepared } from "../../core/rollout/kept-revisions.js";
import type { Signer } from "../../core/signature.js";
import { signPrepareOrder } from "../../core/wire/prepare-orders.js";
import { prepareOrderSubject } from "../../core/wire/subjects.js";
import type { Bus } from "../../runtime/bus.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { Ledger } from "../store/ledger.js";

export interface PrepareOrdersDeps {
  readonly mesh: string;
  readonly ledger: Pick<Ledger, "revisions" | "activations">;
  readonly signer: Signer;
  readonly bus: Pick<Bus, "publish">;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface PrepareOrders {
  /**
   * Sends the order now and every three seconds until `signal` aborts; the first one a little later if proxies prepare
   * the revision without being asked.
   */
  ask(revision: Signed<Revision>, signal: AbortSignal): Promise<void>;
}

/** The milliseconds between repetitions, for proxies that join meanwhile or missed the order. */
const repeatMs = 3000;
const validMs = 15_000;
/**
 * The milliseconds after publishing within which proxies that follow the log hold the revision by themselves. A proxy
 * that was started later may not.
 */
export const unaskedMs = 500;

export function createPrepareOrders(deps: PrepareOrdersDeps): PrepareOrders {
  const { mesh, ledger, signer, bus, clock, log } = deps;
  return {
    async ask({ digest, body }, signal) {
      if (isKeptPrepared(digest, ledger.revisions.list(), ledger.activations.list()))
        await clock.sleep(unaskedMs, signal);
      while (!signal.aborted) {
        const issuedMs = Math.round(clock.nowMs());
        const order = { revision: { number: body.number, digest }, issuedMs, expiresMs: issuedMs + validMs };
        try {
          bus.publish(prepareOrderSubject, signPrepareOrder(order, mesh, signer).bytes);
        } catch (error) {
          log.warn("proxies cannot be asked to prepare a revision", { revision: body.number, why: messageOf(error) });
        }
        await clock.sleep(repeatMs, signal);
      }
    },
  };
}
