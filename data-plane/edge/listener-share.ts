/** What each listener of a gateway may have of the descriptors of its process. */
import { descriptorsLeft } from "../../runtime/descriptors.js";
import type { ListenerLimits } from "../proxy/forward/listener-limits.js";

/** The share of the free descriptors that is for clients; the rest is for connections to services. */
const shareOfClients = 0.75;

/**
 * Returns `limits` with as many connections as one of `listeners` may have, so that a flood at one leaves the others their
 * descriptors: a third of its share for clients in the handshake, the rest for connections.
 */
export function shareOf(limits: ListenerLimits, listeners: number, left = descriptorsLeft()): ListenerLimits {
  const share = Math.max(2, Math.floor((left * shareOfClients) / listeners));
  const unprovenMax = Math.max(1, Math.min(limits.unprovenMax, Math.floor(share / 3)));
  return { ...limits, unprovenMax, connectionsMax: Math.min(limits.connectionsMax, share - unprovenMax) };
}
