/** Computes the method under which a call arrives at its destination. */
import type { SpiffeId } from "../identity.js";
import type { CompiledUnit } from "./compiled-unit.js";

/**
 * Returns the method under which a call arrives that asks for `called`: the rewrite of the route's rule that matches,
 * or `called` itself. `header` is asked only if the unit has rewrites.
 */
export function arrivingMethod(
  unit: Pick<CompiledUnit, "findRoute" | "hasRewrites"> | undefined,
  called: string,
  header: (name: string) => string | undefined,
  caller: SpiffeId,
): string {
  if (unit?.hasRewrites !== true) return called;
  return unit.findRoute(called, header, caller)?.rewrite ?? called;
}
