/** Publishes signed statements about the heads of the logs, so that a proxy notices if records are kept from it. */
import { messageOf } from "../../core/errors.js";
import type { Freshness, Signed } from "../../core/model.js";
import type { Signer } from "../../core/signature.js";
import { signFreshness } from "../../core/wire/records.js";
import { freshnessSubject } from "../../core/wire/subjects.js";
import { onAbort } from "../../runtime/abort.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";
import type { Ledger } from "../store/ledger.js";

export interface FreshnessDeps {
  readonly mesh: string;
  readonly ledger: Pick<Ledger, "revisions" | "activations" | "trust">;
  readonly signer: Signer;
  /**
   * Publishes a statement. It fails while NATS is away; that is logged, and the next statement is published in its
   * turn.
   */
  readonly publish: (subject: string, bytes: Uint8Array) => void | Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

export const freshnessEveryMs = 3000;
const freshnessValidMs = 15_000;
/**
 * The milliseconds by which a statement follows a new record. A proxy that got the record is switching to it at that
 * moment, and checking a second signature would delay that; the statement is for proxies that missed the record.
 */
export const freshnessAfterMs = 200;

/** Signs a statement about the present heads. */
export function buildFreshness(deps: Pick<FreshnessDeps, "mesh" | "ledger" | "signer" | "clock">): Signed<Freshness> {
  const { ledger, clock } = deps;
  const activation = ledger.activations.head();
  const issuedMs = clock.nowMs();
  const body: Freshness = {
    epoch: activation?.body.epoch ?? 0,
    activation: activation?.digest,
    trustSequence: ledger.trust.head()?.body.sequence ?? 0,
    revisionNumber: ledger.revisions.head()?.body.number ?? 0,
    issuedMs,
    expiresMs: issuedMs + freshnessValidMs,
  };
  return signFreshness(body, deps.mesh, deps.signer);
}

/**
 * Publishes a statement every three seconds, and one soon after an activation or trust record; several records may
 * share it.
 */
export async function runFreshness(deps: FreshnessDeps, signal: AbortSignal): Promise<void> {
  let wake = new AbortController();
  const news = () => wake.abort();
  const stops = [onAbort(signal, news), deps.ledger.activations.onRecord(news), deps.ledger.trust.onRecord(news)];
  try {
    while (!signal.aborted) {
      wake = new AbortController();
      try {
        await deps.publish(freshnessSubject, buildFreshness(deps).bytes);
      } catch (error) {
        deps.log.warn("cannot publish a freshness statement", { why: messageOf(error) });
      }
      await deps.clock.sleep(freshnessEveryMs, wake.signal);
      if (wake.signal.aborted) await deps.clock.sleep(freshnessAfterMs, signal);
    }
  } finally {
    for (const stop of stops) stop();
  }
}
