/** Reads and renders the convergence ledger: what each proxy should evaluate, and what it evaluates. */
import { isAshlarError } from "../core/errors.js";
import type { AdminClient, ProxyConvergence } from "./client.js";
import { renderTime } from "./output.js";

/** Returns the progress of each proxy with the active revision; empty while no revision is active. */
export async function readConvergence(
  admin: Pick<AdminClient, "getConvergence">,
): Promise<readonly ProxyConvergence[]> {
  try {
    return (await admin.getConvergence({ revision: 0 })).proxies;
  } catch (error) {
    if (isAshlarError(error, "not_found")) return [];
    throw error;
  }
}

/** What a proxy should evaluate, what it evaluates, and its progress. */
export function convergenceToJson(proxy: ProxyConvergence) {
  const { id, service, version, state, reason, prepared, active, live, lagMs } = proxy;
  return {
    id,
    service,
    version,
    state,
    reason,
    desired: { epoch: proxy.desiredEpoch, revision: proxy.desiredRevision, digest: proxy.desiredDigest },
    received: { epoch: proxy.receivedEpoch, activation: proxy.receivedActivation },
    prepared,
    active,
    evaluating: { epoch: proxy.evaluatingEpoch, revision: proxy.evaluatingRevision, digest: proxy.evaluatingDigest },
    lagMs,
    lastSeen: renderTime(proxy.lastSeenMs),
    live,
  };
}

/** Returns whether there is nothing left to do for a proxy. */
export function isConverged({ state }: Pick<ProxyConvergence, "state">): boolean {
  return state === "converged" || state === "prepared";
}
