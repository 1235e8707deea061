/** Whether live writes of a service may go to a version: its history must not be sent there a second time. */
import type { Unit } from "../model.js";
import { serviceOfMethod } from "../snapshot/grammar.js";

type RouteRule = Unit["routes"][number]["rules"][number];
type Labels = ReadonlyMap<string, string>;

/**
 * Returns why live writes may go to the instances of `version`, whose labels these are; undefined: none does. What only a
 * call says (its headers, its caller) counts as if it matched.
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

/** Also a target of weight 0 gets calls, where the others are empty and the rule spills. */
function reaches({ split, whenEmpty }: RouteRule, version: string, instances: readonly Labels[]): boolean {
  if (split.length === 0) return true;
  return split.some(({ version: of, labels = [], weight }) => {
    if ((of !== "" && of !== version) || (weight === 0 && whenEmpty === "fail")) return false;
    return instances.length === 0 || instances.some((own) => labels.every(({ key, value }) => own.get(key) === value));
  });
}

/** Whether both patterns are about some method. Empty: all methods. */
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
