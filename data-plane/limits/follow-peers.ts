import type { HeldRevision } from "../sync/held-revision.js";

export interface FollowPeersDeps {
  readonly sync: {
    held(): Iterable<Pick<HeldRevision, "units">>;
    onChange(listener: () => void): () => void;
  };
  readonly endpoints: { endpoints(service: string): unknown };
}

/**
 * Follows the proxies of `service` from the moment that a held revision has limits which they share, so that their
 * number is known when the revision comes into force. Until then nobody asks for them, and where a service has many
 * instances, the heartbeats of each would go to all others in vain.
 */
export function followPeers({ sync, endpoints }: FollowPeersDeps, service: string): void {
  const shares = ({ units }: Pick<HeldRevision, "units">): boolean =>
    units.get(service)?.compiled.rateLimits.some(({ limits }) => limits.some(({ scope }) => scope === "mesh")) ?? false;
  const look = (): void => {
    if (![...sync.held()].some(shares)) return;
    stop();
    endpoints.endpoints(service);
  };
  const stop = sync.onChange(look);
  look();
}
