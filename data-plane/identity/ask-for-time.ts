/** Finds out which clock is wrong by asking a control plane. */
import { messageOf } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import type { Logger } from "../../runtime/log.js";

export interface AskForTimeDeps {
  readonly sync: { readonly clocksDisagree: boolean };
  /** Renews the identity. The answer contains a statement that nobody can have stored and replayed. */
  readonly identity: { renew(): Promise<void> };
  readonly clock: Clock;
  readonly log: Pick<Logger, "info" | "warn">;
  readonly random: () => number;
}

const lookEveryMs = 2000;
/** The milliseconds over which a fleet spreads its requests, because all proxies notice a jump of the clock at once. */
const spreadMs = 10_000;
const askAgainMs = 30_000;

/**
 * Renews the certificate when statements about the heads of the logs arrive whose time makes them invalid, at most
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
