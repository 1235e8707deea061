/** Activation as `apply` and `activate` do it: switch, then wait for the fleet if asked to. */
import type { Clock } from "../runtime/clock.js";
import { awaitFleet, behindError } from "./await-fleet.js";
import type { AdminClient } from "./client.js";

export interface ActivationFlags {
  readonly wait?: boolean;
  readonly force?: boolean;
  /** Percent. */
  readonly threshold?: number;
  /** Milliseconds: for proxies to prepare, and again for them to switch. */
  readonly timeout: number;
}

export interface Activated {
  readonly revision: number;
  readonly epoch: number;
  /** False: it was active already. */
  readonly activated: boolean;
  /** From the request to the commit; with `wait` until every live proxy evaluates it. */
  readonly tookMs: number;
  /** Ids of live proxies that did not get there in time. */
  readonly behind: readonly string[];
  /** Why the fleet is not there, if it was waited for and is not. */
  readonly failure: Error | undefined;
}

export async function activateRevision(
  { admin, clock }: { readonly admin: AdminClient; readonly clock: Clock },
  revision: number,
  reason: string,
  { wait = false, force = false, threshold = 0, timeout }: ActivationFlags,
): Promise<Activated> {
  const startMs = clock.monotonicMs();
  const response = await admin.activate({
    revision,
    reason,
    force,
    thresholdPercent: threshold,
    prepareTimeoutMs: timeout,
  });
  const epoch = response.activation?.epoch ?? 0;
  const result = { revision, epoch, activated: response.created };
  if (!wait) return { ...result, tookMs: response.tookMs, behind: [], failure: undefined };
  const target = { kind: "epoch", epoch } as const;
  const report = await awaitFleet({ admin, clock }, target, timeout);
  return {
    ...result,
    tookMs: Math.round(clock.monotonicMs() - startMs),
    behind: report.behind.map(({ id }) => id),
    failure: report.reached ? undefined : behindError(report, target, timeout),
  };
}
