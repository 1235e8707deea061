/** Picks the instance that gets a call. Pure: draws, turns and keys come from outside. */
import { stableFraction } from "../route/stable-hash.js";

/** The share of its later calls that a new instance begins with. */
const slowStartLeast = 0.1;

/** Returns an instance's weight beside others, from 0.1 to 1, `ageMs` after it was first seen. */
export function slowStartWeight(ageMs: number, slowStartMs: number): number {
  return ageMs >= slowStartMs ? 1 : Math.max(slowStartLeast, ageMs / slowStartMs);
}

/**
 * Draws two instances and returns the one with less load for its weight ("power of two choices"), or undefined if there are
 * no instances. `loadOf` returns the open calls of an instance, `weightOf` a number above 0. `draw`, uniform in [0, 1),
 * decides both candidates; the first one wins a tie.
 */
export function pickLeastLoaded<Instance>(
  instances: readonly Instance[],
  loadOf: (instance: Instance) => number,
  weightOf: ((instance: Instance) => number) | undefined,
  draw: number,
): Instance | undefined {
  const count = instances.length;
  if (count < 2) return instances[0];
  const scaled = draw * count;
  const first = Math.min(Math.floor(scaled), count - 1);
  const offset = Math.min(Math.floor((scaled - first) * (count - 1)), count - 2);
  const second = (first + 1 + offset) % count; // never the same as `first`
  const [a, b] = [instances[first], instances[second]];
  if (a === undefined || b === undefined) return a ?? b;
  if (weightOf === undefined) return loadOf(b) < loadOf(a) ? b : a;
  return (loadOf(b) + 1) * weightOf(a) < (loadOf(a) + 1) * weightOf(b) ? b : a;
}

/** Returns the instance whose turn it is. `turn` counts the service's calls. An instance of less weight misses some turns. */
export function pickInTurn<Instance>(
  instances: readonly Instance[],
  turn: number,
  weightOf: ((instance: Instance) => number) | undefined,
  draw: number,
): Instance | undefined {
  const count = instances.length;
  for (let step = 0; step < count; step++) {
    const instance = instances[(turn + step) % count] as Instance;
    if (weightOf === undefined || step === count - 1 || draw < weightOf(instance)) return instance;
  }
  return undefined;
}

/**
 * Returns the instance that a key belongs to: the same for as long as it exists. The keys of one that goes are spread
 * evenly over the rest (rendezvous hashing, which keeps no ring).
 */
export function pickByKey<Instance>(
  instances: readonly Instance[],
  key: string,
  idOf: (instance: Instance) => string,
  weightOf: ((instance: Instance) => number) | undefined,
): Instance | undefined {
  let best: Instance | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const instance of instances) {
    const wait = -Math.log(stableFraction(`${idOf(instance)}\n${key}`)) / (weightOf?.(instance) ?? 1);
    if (wait < least) [best, least] = [instance, wait];
  }
  return best;
}
