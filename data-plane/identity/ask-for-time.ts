/** Settles which clock is wrong by asking a control plane. */
import { messageOf } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";

export interface AskForTimeDeps {
  readonly sync: { readonly clocksDisagree: boolean };
  /** A renewal's answer has a statement that nobody can have kept for later. */
  readonly identity: { renew(): Promise<void> };
  readonly clock: Clock;
  readonly log: Pick<Logger, "info" | "warn">;
  readonly random: () => number;
}

const lookEveryMs = 2000;
/** A control plane whose clock jumped is asked by its whole fleet: not in one moment. */
const spreadMs = 10_000;
const askAgainMs = 30_000;

/**
 * Renews the certificate when statements about the heads of the logs come that do not count for their time, at most
 * twice a minute. Runs until `signal` aborts.
 */
export async function askForTime(deps: AskForTimeDeps, signal: AbortSignal): Promise<void> {
  const { sync, identity, clock, log, random } = deps;
  while (!signal.aborted) {
    await clock.sleep(lookEveryMs, signal);
    if (signal.aborted || !sync.clocksDisagree) continue;
    await clock.sleep(random() * spreadMs, signal);
    if (signal.aborted || !sync.clocksDisagree) continue;
    try {
      await identity.renew();
      log.info("asked a control plane for the time, because statements were out of time");
    } catch (error) {
      log.warn("a control plane cannot be asked for the time", { why: messageOf(error) });
    }
    await clock.sleep(askAgainMs * (0.8 + random() * 0.4), signal);
  }
}
