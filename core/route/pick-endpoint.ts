/**
 * Picks the less loaded of two endpoints drawn at random ("power of two choices"), or undefined where there
 * are none. `loadOf` gives the calls outstanding at an endpoint; `draw` is uniform in [0, 1) and decides both
 * candidates, the first winning a tie.
 */
export function pickEndpoint<Target>(
  endpoints: readonly Target[],
  loadOf: (endpoint: Target) => number,
  draw: number,
): Target | undefined {
  const count = endpoints.length;
  if (count < 2) return endpoints[0];
  const scaled = draw * count;
  const first = Math.min(Math.floor(scaled), count - 1);
  const offset = Math.min(Math.floor((scaled - first) * (count - 1)), count - 2);
  const second = (first + 1 + offset) % count; // never the first again
  const [a, b] = [endpoints[first], endpoints[second]];
  if (a === undefined || b === undefined) return a ?? b;
  return loadOf(b) < loadOf(a) ? b : a;
}
