/** What authorization means, written as plainly as it can be: the compiled form has to agree with it. */
import type { AuthorizationRule, Unit } from "../../core/model.js";

export interface ReferenceDecision {
  readonly allow: boolean;
  readonly rule: string;
}

/** Whether a condition holds; "untold": it cannot be told. */
export type AskCondition = (when: string) => boolean | "untold";

export function evaluateByWalking(
  unit: Unit,
  mesh: string,
  caller: string,
  method: string,
  ask: AskCondition = () => "untold",
): ReferenceDecision {
  const stated = unit.service?.methods ?? [];
  if (!/^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\/[A-Za-z_]\w*$/.test(method)) return { allow: false, rule: "default-deny" };
  const isFeed = method === "ashlar.v1.JournalFeedService/Follow";
  if (stated.length > 0 && !stated.includes(method) && !isFeed) return { allow: false, rule: "default-deny" };
  for (const effect of ["deny", "allow"] as const) {
    if (effect === "allow" && isFeed) break;
    for (const authorization of unit.authorizations) {
      for (const [index, rule] of authorization[effect].entries()) {
        if (names(rule, mesh, caller) && covers(rule, method) && holds(rule, effect, ask))
          return { allow: effect === "allow", rule: `${authorization.name}/${effect}[${index}]` };
      }
    }
  }
  for (const { name, readers = [] } of isFeed ? unit.journals : []) {
    const from = readers.length > 0 ? readers : ["nobody"];
    if (names({ from, methods: [] }, mesh, caller)) return { allow: true, rule: `${name}/readers` };
  }
  return { allow: false, rule: "default-deny" };
}

/** What cannot be told counts against the call. */
function holds({ when }: AuthorizationRule, effect: "allow" | "deny", ask: AskCondition): boolean {
  const found = when === undefined || ask(when);
  return found === "untold" ? effect === "deny" : found;
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
