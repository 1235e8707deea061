/** What proxies found out about other proxies by connecting to them and by their answers. It is told to people; no call is routed by it. */

/** The last that a process knows about an instance of a service that it calls. */
export interface ReachFact {
  readonly proxyId: string;
  /** "HOST:PORT". */
  readonly address: string;
  /** Why no connection could be made, of at most `reachWhyMax` bytes; "" if one was. */
  readonly why: string;
  /** Milliseconds since the last attempt. */
  readonly agoMs: number;
}

/** The part of a heartbeat that tells it. */
export interface ReachReport {
  /** Sorted by proxy id. */
  readonly unreached: readonly Omit<ReachFact, "agoMs">[];
  /** Ids of proxies that were connected to, sorted. */
  readonly reached: readonly string[];
  /** Sorted by proxy id; absent if there are none. */
  readonly ejected?: readonly EjectedFact[] | undefined;
}

/** An instance that a process sends no calls for a while, because of how its answers were. */
export interface EjectedFact {
  readonly proxyId: string;
  /** What it was ejected for, of at most `reachWhyMax` bytes. */
  readonly why: string;
}

/** A heartbeat names at most so many of each. */
export const unreachedToldMax = 16;
export const reachedToldMax = 64;
export const ejectedToldMax = 16;
export const reachWhyMax = 160;

/** Returns the newest fact about each instance; the processes of one proxy find out for themselves. */
export function mergeReach(lists: readonly (readonly ReachFact[])[]): readonly ReachFact[] {
  const newest = new Map<string, ReachFact>();
  for (const fact of lists.flat()) {
    const known = newest.get(fact.proxyId);
    if (known === undefined || fact.agoMs < known.agoMs) newest.set(fact.proxyId, fact);
  }
  return [...newest.values()];
}

/** Returns what any process of one proxy has ejected, each instance once. */
export function mergeEjected(lists: readonly (readonly EjectedFact[])[]): readonly EjectedFact[] {
  return [...new Map(lists.flat().map((fact) => [fact.proxyId, fact])).values()];
}

/** Returns undefined if there is nothing to tell. Of too many, those that were tried last are told. */
export function reportReach(
  facts: readonly ReachFact[],
  ejected: readonly EjectedFact[] = [],
): ReachReport | undefined {
  if (facts.length === 0 && ejected.length === 0) return undefined;
  const recent = [...facts].sort((a, b) => a.agoMs - b.agoMs);
  const unreached = recent.filter(({ why }) => why !== "").slice(0, unreachedToldMax);
  const reached = recent.filter(({ why }) => why === "").slice(0, reachedToldMax);
  return {
    unreached: unreached
      .map(({ proxyId, address, why }) => ({ proxyId, address, why }))
      .sort((a, b) => (a.proxyId < b.proxyId ? -1 : 1)),
    reached: reached.map(({ proxyId }) => proxyId).sort(),
    ...(ejected.length > 0 && {
      ejected: [...ejected].sort((a, b) => (a.proxyId < b.proxyId ? -1 : 1)).slice(0, ejectedToldMax),
    }),
  };
}
