/** The services that this proxy called in the last 24 hours: their units belong to its prepare set. Pure. */

/** Services with the Unix milliseconds of their last call. */
export type CalledServices = ReadonlyMap<string, number>;

const keptMs = 24 * 3600 * 1000;
const grainMs = 60 * 1000;
const servicesMax = 1000;

/** Notes a call. Returns the same map if the last note is less than a minute old. */
export function noteCalled(called: CalledServices, service: string, nowMs: number): CalledServices {
  const lastMs = called.get(service);
  if (lastMs !== undefined && Math.abs(nowMs - lastMs) < grainMs) return called;
  const next = new Map(called);
  next.delete(service);
  next.set(service, nowMs);
  const recent = [...next].filter(([, atMs]) => Math.abs(nowMs - atMs) < keptMs);
  return new Map(recent.slice(-servicesMax));
}

/** The services called within 24 hours before `nowMs`. */
export function calledWithin(called: CalledServices, nowMs: number): readonly string[] {
  return [...called].filter(([, atMs]) => Math.abs(nowMs - atMs) < keptMs).map(([service]) => service);
}
