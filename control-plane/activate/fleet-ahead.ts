/**
 * A fleet that has seen more than this control plane's log has: the log lost records, in the stream and in the own
 * copy. To sign the next epoch then would use one twice. Heartbeats are not signed, so a proxy that was taken over can
 * say this falsely: an operator may override it, and a rollback never asks.
 */
import { AshlarError } from "../../core/errors.js";
import type { Clock } from "../../runtime/clock.js";
import type { FleetEntry } from "../fleet/fleet-state.js";
import type { ActivatorDeps } from "./activator.js";

export interface FleetAhead {
  /** The highest epoch that a live proxy says it has verified. */
  readonly epoch: number;
  /** Ids of the proxies that say so, the first few. */
  readonly proxyIds: readonly string[];
}

/** So long the log may be behind the fleet without having lost anything: it is read every two seconds. */
const catchUpMs = 3000;
const lookMs = 100;
const namedMax = 3;

/** The live proxies that are ahead of `epoch`; undefined: none is. */
export function findFleetAhead(live: readonly FleetEntry[], epoch: number): FleetAhead | undefined {
  const highest = live.reduce((max, { heartbeat }) => Math.max(max, heartbeat.seenEpoch), 0);
  if (highest <= epoch) return undefined;
  const ahead = live.filter(({ heartbeat }) => heartbeat.seenEpoch === highest);
  return { epoch: highest, proxyIds: ahead.slice(0, namedMax).map(({ heartbeat }) => heartbeat.proxyId) };
}

/** One line for people. */
export function renderFleetAhead({ epoch, proxyIds }: FleetAhead, logEpoch: number): string {
  return `the fleet has seen epoch ${epoch} (${proxyIds.join(", ")}) and this control plane's log ends at epoch ${logEpoch}: it lost records`;
}

/** Fails with `stale` if the fleet is ahead of the log and stays so. */
export async function checkFleetNotAhead(
  deps: Pick<ActivatorDeps, "ledger" | "fleet"> & { readonly clock: Clock },
  signal: AbortSignal | undefined,
): Promise<void> {
  const { ledger, fleet, clock } = deps;
  const logEpoch = (): number => ledger.activations.head()?.body.epoch ?? 0;
  const endMs = clock.monotonicMs() + catchUpMs;
  for (;;) {
    const ahead = findFleetAhead(fleet.live(), logEpoch());
    if (ahead === undefined) return;
    if (clock.monotonicMs() >= endMs || signal?.aborted) {
      const why = renderFleetAhead(ahead, logEpoch());
      throw new AshlarError(
        "stale",
        `${why}, and the next epoch would be used twice; put its ledger folder or NATS's store back from a backup, or use --force: proxies that have seen more will not follow it`,
      );
    }
    await clock.sleep(lookMs, signal);
  }
}
