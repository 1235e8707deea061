/** Divides the file descriptors of a gateway's process among its listeners. */
import { descriptorsLeft } from "../../runtime/descriptors.js";
import type { Logger } from "../../runtime/log.js";
import type { ListenerLimits } from "../proxy/forward/listener-limits.js";

/** The share of the free descriptors that is for clients; the rest is for connections to services. */
const shareOfClients = 0.75;
/**
 * This many clients may be in the handshake at once, unless that is more than a third of a listener's share or less
 * than an eighth.
 */
const unprovenUsual = 256;

/**
 * Returns `limits` with the connections that one of `listeners` may have, so that a flood at one leaves the others
 * their descriptors: a small part of its share for clients in the handshake, the rest for connections.
 */
export function shareOf(limits: ListenerLimits, listeners: number, left = descriptorsLeft()): ListenerLimits {
  const share = Math.max(2, Math.floor((left * shareOfClients) / listeners));
  const unproven = Math.max(Math.floor(share / 8), Math.min(Math.floor(share / 3), unprovenUsual));
  const unprovenMax = Math.max(1, Math.min(limits.unprovenMax, unproven));
  return { ...limits, unprovenMax, connectionsMax: Math.min(limits.connectionsMax, share - unprovenMax) };
}

/**
 * Logs how many connections a listener accepts if there are too few descriptors for `limits`, so that operators learn
 * it before clients do.
 */
export function warnOfFewFiles(
  log: Pick<Logger, "warn">,
  limits: ListenerLimits,
  listeners: number,
  left = descriptorsLeft(),
): void {
  const { connectionsMax } = shareOf(limits, listeners, left);
  if (connectionsMax < limits.connectionsMax)
    log.warn("listeners take few connections, since this process may open few files: raise their limit (ulimit -n)", {
      connectionsOfEach: connectionsMax,
    });
}
