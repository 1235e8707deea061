/** Compiles a unit for the data plane: once per revision, into an index, so that a decision never walks all rules. */
import { compileJournal } from "../journal/plan.js";
import { calleeOf, hasNoSideEffects } from "../kinds/callee.js";
import type { Unit } from "../kinds/table.js";
import { buildAccessIndex } from "./access-index.js";
import { compileTelemetry } from "./compiled-telemetry.js";
import type { CompiledUnit } from "./compiled-unit.js";
import { buildRouteIndex } from "./route-index.js";

export type { CompiledRouteRule } from "./compiled-route.js";
export type { CompiledUnit } from "./compiled-unit.js";
export type { Decision } from "./decision.js";

/**
 * Compiles a unit of the mesh, which `parseUnit` or `encodeUnit` returned; `mesh` is its trust domain. Fails with
 * `limit` if its rules name more pairs of callers and methods than can be indexed, or have too many conditions.
 */
export function compileUnit(unit: Unit, mesh: string): CompiledUnit {
  const access = buildAccessIndex(unit, mesh);
  const { name, issuers, rateLimits } = unit;
  const callee = calleeOf(unit);
  const journal = compileJournal(unit, mesh);
  const hasTokenLimits = rateLimits.some(({ limits }) =>
    limits.some(({ per }) => per.some((part) => part.startsWith("claim:"))),
  );
  return Object.freeze({
    name,
    issuers,
    ...buildRouteIndex(unit, mesh, journal?.reads),
    ...access,
    rateLimits,
    hasTokenLimits: hasTokenLimits || journal?.readsToken === true,
    resilience: unit.resilience[0],
    hasNoSideEffects: (method: string) => callee !== undefined && hasNoSideEffects(callee, method),
    gateway: unit.gateway,
    isOutside: unit.egress !== undefined,
    journal,
    telemetry: compileTelemetry(unit.telemetry[0]),
  });
}
