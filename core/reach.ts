/**
 * What proxies learned about other proxies by connecting to them and from their answers. It is shown to people; no call
 * is routed by it.
 */

/** The latest fact that a process knows about an instance of a service that it calls. */
export interface ReachFact {
  readonly proxyId: string;
  /** "HOST:PORT". */
  readonly address: string;
  /** Why no connection could be made, of at most `reachWhyMax` bytes; "" if one was. */
  readonly why: string;
  /** Milliseconds since the last attempt. */
  readonly agoMs: number;
}

/** The part of a heartbeat with these facts. */
export interface ReachReport {
  /** Sorted by proxy id. */
  readonly unreached: readonly Omit<ReachFact, "agoMs">[];
  /** Ids of proxies that were connected to, sorted. */
  readonly reached: readonly string[];
  /** Sorted by proxy id; absent if there are none. */
  readonly ejected?: readonly EjectedFact[] | undefined;
}

/** An instance to which a process sends no calls for a while, because of its earlier answers. */
export interface EjectedFact {
  readonly proxyId: string;
  /** The reason for the ejection, at most `reachWhyMax` bytes. */
  readonly why: string;
}

/** The most entries of each list in a heartbeat. */
export const unreachedToldMax = 16;
export const reachedToldMax = 64;
export const ejectedToldMax = 16;
export const reachWhyMax = 160;

/** Returns the newest fact about each instance. Each process of a proxy collects its own facts. */
export function mergeReach(lists: readonly (readonly ReachFact[])[]): readonly ReachFact[] {
  const newest = new Map<string, ReachFact>();
  for (const fact of lists.flat()) {
    const known = newest.get(fact.proxyId);
    if (known === undefined || fact.agoMs < known.agoMs) newest.set(fact.proxyId, fact);
  }
  return [...newest.values()];
}

/** Returns the instances that any process of one proxy has ejected, each once. */
export function mergeEjected(lists: readonly (readonly EjectedFact[])[]): readonly EjectedFact[] {
  return [...new Map(lists.flat().map((fact) => [fact.proxyId, fact])).values()];
}

/**
 * Returns the report, or undefined if there is nothing to report. If there are too many facts, those with the latest
 * attempts are kept.
 */
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
