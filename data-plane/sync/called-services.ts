/** The services that this proxy called in the last 24 hours: their units belong to its prepare set. Pure. */

/** Services with the time of their last call, in Unix milliseconds. */
export type CalledServices = ReadonlyMap<string, number>;

const keptMs = 24 * 3600 * 1000;
const grainMs = 60 * 1000;
const servicesMax = 1000;

/** Notes a call. Returns the same map if the service was noted less than a minute ago. */
export function noteCalled(called: CalledServices, service: string, nowMs: number): CalledServices {
  const lastMs = called.get(service);
  if (lastMs !== undefined && Math.abs(nowMs - lastMs) < grainMs) return called;
  const next = new Map(called);
  next.delete(service);
  next.set(service, nowMs);
  const recent = [...next].filter(([, atMs]) => Math.abs(nowMs - atMs) < keptMs);
  return new Map(recent.slice(-servicesMax));
}

/** Returns the services called within the 24 hours before `nowMs`. */
export function calledWithin(called: CalledServices, nowMs: number): readonly string[] {
  return [...called].filter(([, atMs]) => Math.abs(nowMs - atMs) < keptMs).map(([service]) => service);
}
