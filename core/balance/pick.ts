/** Which of several instances gets a call. Pure: draws, turns and keys come from outside. */
import { stableFraction } from "../route/stable-hash.js";

/** A new instance begins with this share of what it will get. */
const slowStartLeast = 0.1;

/** How much an instance gets beside others, from 0.1 to 1, `ageMs` after it was seen for the first time. */
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
  const second = (first + 1 + offset) % count; // never the first again
  const [a, b] = [instances[first], instances[second]];
  if (a === undefined || b === undefined) return a ?? b;
  if (weightOf === undefined) return loadOf(b) < loadOf(a) ? b : a;
  return (loadOf(b) + 1) * weightOf(a) < (loadOf(a) + 1) * weightOf(b) ? b : a;
}

/** The instance whose turn it is. `turn` counts the service's calls; an instance with less weight is passed over at times. */
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
 * The instance that a key belongs to: the same as long as it is there, and keys of one that goes are spread evenly over the
 * rest (rendezvous hashing, which needs no ring that is kept).
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
