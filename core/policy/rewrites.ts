/**
 * Finds callers that lose access because a route's rewrite sends their call on under a method that they may not call.
 * Pure.
 */

import { callerId, type SpiffeId, workloadId } from "../identity.js";
import { calleeOf } from "../kinds/callee.js";
import type { RouteRule, Unit } from "../model.js";
import { serviceOfMethod } from "../snapshot/grammar.js";
import type { CompiledUnit } from "./compile.js";

export interface LostByRewrite {
  /** The place of the rule: the route's name and the rule's index. */
  readonly route: string;
  readonly rule: number;
  /** The caller as policy names it: a service's name, a SPIFFE ID, or "*". */
  readonly caller: string;
  readonly before: string;
  readonly after: string;
}

/**
 * Returns the callers that lose access. `compiled` must be the compiled `unit`. Callers are those that the unit's rules
 * name, and "*" for everyone else. For a rule that asks for headers, calls with exactly these headers are tried; calls
 * that an earlier rule takes are ignored.
 */
export function lostByRewrites(unit: Unit, compiled: CompiledUnit, mesh: string): readonly LostByRewrite[] {
  if (!compiled.hasRewrites) return [];
  const found: LostByRewrite[] = [];
  for (const route of unit.routes) {
    for (const [index, rule] of route.rules.entries()) {
      const after = rule.rewrite?.method;
      if (after === undefined) continue;
      for (const caller of callersOf(unit, rule)) {
        const id = asId(caller, mesh);
        const before = methodsOf(unit, rule).find(
          (method) =>
            isLost(compiled, id, method, after) && ruleOf(compiled, rule, method, id) === nameOf(route.name, index),
        );
        if (before !== undefined) found.push({ route: route.name, rule: index, caller, before, after });
      }
    }
  }
  return found;
}

function isLost(compiled: CompiledUnit, caller: SpiffeId, before: string, after: string): boolean {
  const knows = { caller: true, method: true };
  return (
    compiled.accessFor(caller, before, knows).kind !== "denied" &&
    compiled.accessFor(caller, after, knows).kind === "denied"
  );
}

/** A rule that sends calls of a method on under another one if they have certain headers. */
export interface HeaderRewrite {
  /** The name of the rule, such as "payments/rules[0]". */
  readonly rule: string;
  readonly headers: readonly string[];
  readonly after: string;
}

/** Returns the rules whose rewrite depends on headers, so that it is not known for calls in general. */
export function headerRewrites(unit: Unit, method: string): readonly HeaderRewrite[] {
  return unit.routes.flatMap((route) =>
    route.rules.flatMap((rule, index): HeaderRewrite[] => {
      const { headers = [], methods = [] } = rule.match ?? {};
      const after = rule.rewrite?.method;
      if (after === undefined || headers.length === 0) return [];
      const isFor = [method, `${serviceOfMethod(method)}/*`, "*"].some((pattern) => methods.includes(pattern));
      if (methods.length > 0 && !isFor) return [];
      return [{ rule: nameOf(route.name, index), headers: headers.map(({ name }) => name), after }];
    }),
  );
}

/** Returns the name of the rule that takes a call with exactly the headers that `rule` asks for. */
function ruleOf(compiled: CompiledUnit, { match }: RouteRule, method: string, caller: SpiffeId): string | undefined {
  const header = (name: string): string | undefined => {
    const asked = match?.headers?.find((one) => one.name === name && one.by !== "absent");
    if (asked === undefined) return undefined;
    return asked.by === "present" ? "1" : (asked.values?.[0] ?? asked.value);
  };
  return compiled.findRoute(method, header, caller)?.name;
}

function nameOf(route: string, index: number): string {
  return `${route}/rules[${index}]`;
}

function callersOf(unit: Unit, { match }: RouteRule): readonly string[] {
  const allowed = unit.authorizations.flatMap(({ allow }) => allow.flatMap(({ from }) => from));
  const from = match?.from ?? [];
  const isForAll = from.length === 0 || from.includes("*");
  return [...new Set(allowed)].filter((caller) => isForAll || from.includes(caller)).sort();
}

/**
 * Returns the methods that a rule is about, as far as they are known: those it names, and the stated methods that match
 * its patterns.
 */
function methodsOf(unit: Unit, { match }: RouteRule): readonly string[] {
  const patterns = match?.methods ?? [];
  const stated = calleeOf(unit)?.methods ?? [];
  if (patterns.length === 0) return stated;
  return patterns.flatMap((pattern) => {
    if (!pattern.endsWith("*")) return [pattern];
    return stated.filter((method) => pattern === "*" || pattern === `${serviceOfMethod(method)}/*`);
  });
}

/** Returns the SPIFFE ID to ask about; for "*" one that no rule names. */
function asId(caller: string, mesh: string): SpiffeId {
  if (caller === "*") return workloadId(mesh, "somebody-whom-no-rule-names");
  return callerId(mesh, caller);
}
