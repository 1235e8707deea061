/** Reads the keys of issuers again, one after the other, each at its pace. */
import type { Clock } from "../../runtime/clock.js";
import type { Issuers } from "./issuers.js";

/** The milliseconds between refreshes: half of the ten minutes for which keys are commonly cached. */
const refreshEveryMs = 5 * 60_000;
/** The milliseconds after a failure until the next try. They double with each failure, up to the interval above. */
export const retryMsMin = 30_000;
const tickMs = 5000;

interface Pace {
  readonly dueMs: number;
  readonly failures: number;
}

/** Runs until `signal` aborts; one fetch is in flight at most, and none of an issuer within 30 s of its last. */
export async function runRefresh(
  { issuers, clock }: { readonly issuers: Pick<Issuers, "list" | "refresh">; readonly clock: Clock },
  signal: AbortSignal,
): Promise<void> {
  const paces = new Map<string, Pace>();
  while (!signal.aborted) {
    const fetched = issuers.list().flatMap(({ issuer }) => (issuer.jwksUrl === "" ? [] : [issuer.name]));
    for (const name of paces.keys()) if (!fetched.includes(name)) paces.delete(name);
    for (const name of fetched) {
      const pace = paces.get(name) ?? { dueMs: clock.monotonicMs() + refreshEveryMs, failures: 0 };
      paces.set(name, pace);
      if (clock.monotonicMs() < pace.dueMs || signal.aborted) continue;
      const failures = (await issuers.refresh(name, signal)) ? 0 : pace.failures + 1;
      const waitMs = failures === 0 ? refreshEveryMs : Math.min(refreshEveryMs, retryMsMin * 2 ** (failures - 1));
      paces.set(name, { dueMs: clock.monotonicMs() + waitMs, failures });
    }
    await clock.sleep(tickMs, signal).catch(() => {});
  }
}
