/** Which of a service's instances may get calls at all. Pure. */
import { stableFraction } from "../route/stable-hash.js";

/** While less than this share of a hundred is healthy, health is ignored; in hundredths of a percent. */
export const panicBelowDefault = 3000;
const shareOfAll = 10_000;

/**
 * Returns the instances that are healthy; or all, where fewer than `panicBelow` of them are: then it is more likely that
 * the fault is in how they are judged, and to send everything to the few that are left would take these down too.
 */
export function healthyOrAll<Instance>(
  instances: readonly Instance[],
  isHealthy: (instance: Instance) => boolean,
  panicBelow: number,
): readonly Instance[] {
  const healthy = instances.filter(isHealthy);
  if (healthy.length === instances.length) return instances;
  return healthy.length * shareOfAll < instances.length * panicBelow ? instances : healthy;
}

/**
 * Returns the `size` instances that one proxy uses of a large service, always the same ones as long as they are there: an
 * instance that comes or goes changes one place in a subset at most (rendezvous hashing).
 */
export function subsetFor<Instance>(
  instances: readonly Instance[],
  size: number,
  proxyId: string,
  idOf: (instance: Instance) => string,
): readonly Instance[] {
  if (instances.length <= size) return instances;
  const ranked = instances.map((instance) => ({
    instance,
    rank: stableFraction(`${proxyId}\n${idOf(instance)}`),
    id: idOf(instance),
  }));
  ranked.sort((a, b) => b.rank - a.rank || (a.id < b.id ? -1 : 1));
  return ranked.slice(0, size).map(({ instance }) => instance);
}

/** What is left over where fewer than 1/1.4 of the near instances are healthy goes elsewhere (Envoy's overprovisioning). */
const overprovisioning = 1.4;

/**
 * The share of calls that stay near, from 0 to 1: all while enough of the near instances are healthy, and then less and less.
 * `all` and `healthy` are numbers of near instances; `others`: some healthy instance is elsewhere.
 */
export function nearShare(all: number, healthy: number, others: boolean, spillOver: boolean): number {
  if (all === 0) return spillOver ? 0 : 1;
  if (!others || !spillOver) return 1;
  return Math.min(1, (overprovisioning * healthy) / all);
}
