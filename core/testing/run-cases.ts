/** Policy tests: judges calls as a proxy would, without a proxy. */
import { AshlarError } from "../errors.js";
import { callerId } from "../identity.js";
import type { Unit } from "../model.js";
import { type CompiledUnit, compileUnit, type Decision } from "../policy/compile.js";
import type { PolicyCase } from "./case-shape.js";

export interface CaseResult {
  readonly case: PolicyCase;
  readonly passed: boolean;
  readonly decision: Decision;
}

/**
 * Judges each case by `units`, which must be canonical and of the mesh `mesh`. A case without a time is a call at
 * `nowMs`. Fails with `not_found` on a service that does not exist, which `parseCases` reports.
 */
export function runCases(
  units: readonly Unit[],
  cases: readonly PolicyCase[],
  mesh: string,
  nowMs: number,
): readonly CaseResult[] {
  const byName = new Map(units.map((unit) => [unit.name, unit]));
  const compiled = new Map<string, CompiledUnit>();
  const compiledOf = (name: string): CompiledUnit => {
    const known = compiled.get(name);
    if (known !== undefined) return known;
    const unit = byName.get(name);
    if (unit === undefined) throw new AshlarError("not_found", `there is no service ${JSON.stringify(name)}`);
    const fresh = compileUnit(unit, mesh);
    compiled.set(name, fresh);
    return fresh;
  };
  return cases.map((one) => {
    const {
      caller,
      service,
      method,
      headers,
      timeMs = nowMs,
      sourceAddress,
      labels,
      claims,
      issuer,
      sourceLabels,
      allowed,
      rule,
    } = one;
    const id = callerId(mesh, caller);
    const decision = compiledOf(service).evaluateCall(id, method, {
      header: (name) => headers.get(name),
      sourceAddress,
      nowMs: timeMs,
      claims,
      tokenIssuer: claims === undefined ? undefined : (issuer ?? ""),
      sourceLabels,
      destinationLabels: labels,
    });
    const passed = decision.allow === allowed && (rule === undefined || decision.rule === rule);
    return { case: one, passed, decision };
  });
}
