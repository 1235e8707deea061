/** What authorization means, written as plainly as it can be: the compiled form has to agree with it. */
import type { AuthorizationRule, Unit } from "../../core/model.js";

export interface ReferenceDecision {
  readonly allow: boolean;
  readonly rule: string;
}

export function evaluateByWalking(unit: Unit, mesh: string, caller: string, method: string): ReferenceDecision {
  const stated = unit.service?.methods ?? [];
  if (!/^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\/[A-Za-z_]\w*$/.test(method)) return { allow: false, rule: "default-deny" };
  if (stated.length > 0 && !stated.includes(method)) return { allow: false, rule: "default-deny" };
  for (const effect of ["deny", "allow"] as const) {
    for (const authorization of unit.authorizations) {
      for (const [index, rule] of authorization[effect].entries()) {
        if (names(rule, mesh, caller) && covers(rule, method))
          return { allow: effect === "allow", rule: `${authorization.name}/${effect}[${index}]` };
      }
    }
  }
  return { allow: false, rule: "default-deny" };
}

function names(rule: AuthorizationRule, mesh: string, caller: string): boolean {
  if (rule.from.length === 0) return true;
  return rule.from.some((from) => from === "*" || from === caller || `spiffe://${mesh}/service/${from}` === caller);
}

function covers(rule: AuthorizationRule, method: string): boolean {
  if (rule.methods.length === 0) return true;
  return rule.methods.some(
    (pattern) =>
      pattern === "*" || pattern === method || (pattern.endsWith("/*") && method.startsWith(pattern.slice(0, -1))),
  );
}
