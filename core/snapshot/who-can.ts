/** Lists who may call one method: every caller that policy knows, with the verdict. */
import { calleeOf } from "../kinds/callee.js";
import type { Unit } from "../model.js";
import type { Access } from "../policy/access-plan.js";
import { compileUnit } from "../policy/compile.js";
import { callerProbes } from "./access-probes.js";

/** A caller and whether it may call. */
export interface CallerAccess {
  /** A service's name, a SPIFFE ID in full, or "*" for every other caller. */
  readonly caller: string;
  readonly access: Access["kind"];
  /** The rule as decisions name it. For a conditional verdict it is the first rule that may allow the call. */
  readonly rule: string;
  /** A CEL condition that is true exactly for the allowed calls; "" if the access is not conditional. */
  readonly condition: string;
  /** The method that was judged, if a route's rewrite changed it; "": the method itself. */
  readonly judgedMethod: string;
}

const order: Readonly<Record<Access["kind"], number>> = { allowed: 0, conditional: 1, denied: 2 };

/**
 * Returns all callers of `method` of `service`, those that may call first, then by name with everyone else last;
 * undefined: the service does not exist. Callers are the services of `units`, the SPIFFE IDs that their rules name, and
 * everyone else. Each is judged as calls are, so the list is exact. `units` must be canonical and of the mesh `mesh`.
 */
export function whoCan(
  units: readonly Unit[],
  service: string,
  method: string,
  mesh: string,
): readonly CallerAccess[] | undefined {
  const unit = units.find(({ name }) => name === service);
  if (unit === undefined || calleeOf(unit) === undefined) return undefined;
  const compiled = compileUnit(unit, mesh);
  const found = callerProbes(units, mesh).map(({ asked, label, exact }): CallerAccess => {
    // a rewrite may send calls on under another method; rewrites that depend on a header are not considered
    const judged = compiled.findRoute(method, () => undefined, asked)?.rewrite ?? method;
    const { kind, rule, condition } = compiled.accessFor(asked, judged, { caller: exact, method: true });
    return { caller: label, access: kind, rule, condition, judgedMethod: judged === method ? "" : judged };
  });
  return found.sort((a, b) => order[a.access] - order[b.access]); // the sort is stable, so names stay in order
}
