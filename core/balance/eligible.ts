/** Selects the instances of a service that may get calls at all. Pure. */
import { stableFraction } from "../route/stable-hash.js";

/** Health is ignored while the share of healthy instances is smaller than this, in hundredths of a percent. */
export const panicBelowDefault = 3000;
const shareOfAll = 10_000;

/**
 * Returns the healthy instances, or all of them if the share of healthy ones is below `panicBelow`: then the judgement is
 * more likely to be wrong than the instances, and the few that are left would break under all the calls.
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
 * Returns the `size` instances of a large service that one proxy uses: the same ones for as long as they exist. An instance
 * that comes or goes changes at most one place in a subset (rendezvous hashing).
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

/** Calls begin to go elsewhere when fewer than 1/1.4 of the near instances are healthy (Envoy's overprovisioning). */
const overprovisioning = 1.4;

/**
 * Returns the share of calls that stay near, from 0 to 1: all of them while enough near instances are healthy, then fewer.
 * `all` and `healthy` are numbers of near instances; `others` says whether some healthy instance is elsewhere.
 */
export function nearShare(all: number, healthy: number, others: boolean, spillOver: boolean): number {
  if (all === 0) return spillOver ? 0 : 1;
  if (!others || !spillOver) return 1;
  return Math.min(1, (overprovisioning * healthy) / all);
}
