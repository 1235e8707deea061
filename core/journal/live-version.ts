/**
 * Finds out whether live writes of a service may reach a version. Its history must not be replayed to such a version.
 */
import type { Unit } from "../model.js";
import { serviceOfMethod } from "../snapshot/grammar.js";

type RouteRule = Unit["routes"][number]["rules"][number];
type Labels = ReadonlyMap<string, string>;

/**
 * Returns why live writes may reach the instances of `version`, whose labels are `instances`, or undefined if none can.
 * A match that depends on a call's headers or caller counts as fulfilled.
 */
export function whyLive(unit: Unit, version: string, instances: readonly Labels[]): string | undefined {
  const [{ methods: writes = [] } = {}] = unit.journals;
  for (const { name, rules } of unit.routes)
    for (const [index, rule] of rules.entries()) {
      const { methods = [], headers = [], from = [] } = rule.match ?? {};
      if (!meet(methods, writes)) continue;
      if (reaches(rule, version, instances)) return `${name}/rules[${index}] sends live calls there`;
      if (headers.length === 0 && (from.length === 0 || from.includes("*")) && covers(methods, writes))
        return undefined;
    }
  return unit.routes.length === 0
    ? `${unit.name} has no Route, so its calls go to every version`
    : `calls that no rule of the Route of ${unit.name} is for go to every version`;
}

/**
 * Returns whether a rule can send calls to the version. A target of weight 0 gets calls too, if the others are empty
 * and the rule spills.
 */
function reaches({ split, whenEmpty }: RouteRule, version: string, instances: readonly Labels[]): boolean {
  if (split.length === 0) return true;
  return split.some(({ version: of, labels = [], weight }) => {
    if ((of !== "" && of !== version) || (weight === 0 && whenEmpty === "fail")) return false;
    return instances.length === 0 || instances.some((own) => labels.every(({ key, value }) => own.get(key) === value));
  });
}

/** Returns whether some method matches both lists of patterns. An empty list matches all methods. */
function meet(patterns: readonly string[], others: readonly string[]): boolean {
  if (patterns.length === 0 || others.length === 0) return true;
  return patterns.some((one) => others.some((other) => names(one, other) || names(other, one)));
}

function covers(patterns: readonly string[], methods: readonly string[]): boolean {
  if (patterns.length === 0 || patterns.includes("*")) return true;
  return methods.length > 0 && methods.every((method) => patterns.some((pattern) => names(pattern, method)));
}

const names = (pattern: string, method: string): boolean =>
  pattern === "*" || pattern === method || pattern === `${serviceOfMethod(method)}/*`;
