/** A RateLimit in its one form: what stands for nothing is left out, lists that have no order are sorted. */
import type { Limit, LimitKeyPart, MethodCost, RateLimit } from "../limit/limit-model.js";
import { compareNames, refused, refuseRepeated, textList } from "./canonical-list.js";
import { isMethodPattern } from "./grammar.js";
import { costsMax, isPeriod, keyPartsMax, limitsMax, tokensMax, whyNotKeyPart } from "./limit-grammar.js";

/** Why the limits of the service `name` are too many; undefined: they are not. */
export function whyTooManyLimits(name: string, rateLimits: readonly RateLimit[]): string | undefined {
  const count = rateLimits.reduce((sum, { limits }) => sum + limits.length, 0);
  return count > limitsMax ? `${name} has ${count} limits, at most ${limitsMax}` : undefined;
}

export function canonicalRateLimit({ name, service, limits }: RateLimit): RateLimit {
  const canonical = limits.map((limit, index) => canonicalLimit(service, `${name}/limits[${index}]`, limit));
  return Object.freeze({ kind: "RateLimit", name, service, limits: Object.freeze(canonical) });
}

function canonicalLimit(unit: string, place: string, limit: Limit): Limit {
  const { per, tokens, periodMs, burst, scope, disconnected } = limit;
  const within = (what: string, value: number, min: number): void => {
    if (!Number.isInteger(value) || value < min || value > tokensMax)
      throw refused(unit, `${place}.${what}: ${value} is not between ${min} and ${tokensMax}`);
  };
  if (per.length > keyPartsMax) throw refused(unit, `${place}.per: ${per.length} parts, at most ${keyPartsMax}`);
  if (!isPeriod(periodMs)) throw refused(unit, `${place}.rate: no period has ${periodMs} ms`);
  within("rate", tokens, 1);
  within("burst", burst, 1);
  const costs = canonicalCosts(unit, place, limit.costs);
  for (const { method, cost } of costs) {
    within("cost", cost, 0);
    if (cost > burst) throw refused(unit, `${place}.cost: ${method} costs ${cost}, more than the burst of ${burst}`);
  }
  if ((scope === "mesh") !== (disconnected !== undefined))
    throw refused(unit, `${place}.disconnected: it is for the scope mesh, and has to be told there`);
  return Object.freeze({
    per: textList<LimitKeyPart>(unit, `${place}.per`, per, (part) => whyNotKeyPart(part) === undefined),
    methods: textList(unit, `${place}.methods`, limit.methods, isMethodPattern),
    tokens,
    periodMs,
    burst,
    costs,
    scope,
    disconnected,
  });
}

/** A cost of 1 for all the rest says nothing. */
function canonicalCosts(unit: string, place: string, costs: readonly MethodCost[]): readonly MethodCost[] {
  if (costs.length > costsMax) throw refused(unit, `${place}.cost: ${costs.length} methods, at most ${costsMax}`);
  for (const { method } of costs) {
    if (!isMethodPattern(method)) throw refused(unit, `${place}.cost: not a method`);
  }
  const sorted = costs
    .filter(({ method, cost }) => method !== "*" || cost !== 1)
    .map(({ method, cost }): MethodCost => Object.freeze({ method, cost }))
    .sort((a, b) => compareNames(a.method, b.method));
  refuseRepeated(
    unit,
    `${place}.cost`,
    sorted.map(({ method }) => method),
  );
  return Object.freeze(sorted);
}
