/**
 * Computes which callers' calls of which methods have another verdict under the rules of two units. Each rule is split
 * into pairs of one caller and one method: a call whose verdict differs matches a pair that only one of the units has.
 * Pure.
 */
import type { AuthorizationRule, Unit } from "../model.js";
import { keyOf } from "./same-value.js";

/** Calls of certain callers with certain methods. */
export interface CallsOf {
  /** The names of the calling services; undefined: any caller. */
  readonly callers: readonly string[] | undefined;
  /** "package.Service/Method", "package.Service/*" or "*"; sorted, not empty. */
  readonly methods: readonly string[];
}

/** One caller and one method of a rule; "*" stands for any. */
interface Grant {
  readonly caller: string;
  readonly method: string;
}

/** The most pairs. Above it whole rules are compared, which may report more calls than are affected. */
const grantsMax = 50_000;
/** The most groups of callers. Above it one group covers all callers. */
const groupsMax = 8;
const serviceName = /^[a-z0-9-]+$/;

/** Returns the affected calls, grouped so that callers with the same methods share one group. */
export function findJudgedCalls(base: Unit | undefined, candidate: Unit | undefined): readonly CallsOf[] {
  const count = [base, candidate].flatMap(rulesOf).reduce((sum, { rule }) => sum + sizeOf(rule), 0);
  const take = count > grantsMax ? wholeRules : grantsOf;
  const [a, b] = [take(base), take(candidate)];
  const differing = [...missing(a, b), ...missing(b, a)];
  const methodsOf = new Map<string, Set<string>>();
  for (const { caller, method } of differing) {
    // a SPIFFE ID in full may name a service of this mesh too
    const name = serviceName.test(caller) ? caller : "*";
    const methods = methodsOf.get(name);
    if (methods === undefined) methodsOf.set(name, new Set([method]));
    else methods.add(method);
  }
  return grouped(methodsOf);
}

function grouped(methodsOf: ReadonlyMap<string, ReadonlySet<string>>): readonly CallsOf[] {
  const groups = new Map<string, { callers: string[]; methods: readonly string[] }>();
  for (const [caller, set] of methodsOf) {
    const methods = sortUnique([...set]);
    const group = groups.get(methods.join());
    if (group === undefined) groups.set(methods.join(), { callers: [caller], methods });
    else group.callers.push(caller);
  }
  const all = [...groups.values()].map(({ callers, methods }) => ({ callers: sortUnique(callers), methods }));
  const few =
    all.length <= groupsMax
      ? all
      : [
          {
            callers: sortUnique(all.flatMap(({ callers }) => callers)),
            methods: sortUnique(all.flatMap(({ methods }) => methods)),
          },
        ];
  return few.map(({ callers, methods }) => ({ callers: callers.includes("*") ? undefined : callers, methods }));
}

interface NamedRule {
  readonly effect: "allow" | "deny";
  readonly rule: Pick<AuthorizationRule, "from" | "methods">;
}

function rulesOf(unit: Unit | undefined): readonly NamedRule[] {
  return (unit?.authorizations ?? []).flatMap(({ allow, deny }) => [
    ...allow.map((rule): NamedRule => ({ effect: "allow", rule })),
    ...deny.map((rule): NamedRule => ({ effect: "deny", rule })),
  ]);
}

const sizeOf = ({ from, methods }: NamedRule["rule"]): number => orAny(from).length * orAny(methods).length;

function grantsOf(unit: Unit | undefined): ReadonlyMap<string, readonly Grant[]> {
  const grants = new Map<string, readonly Grant[]>();
  for (const { effect, rule } of rulesOf(unit)) {
    const { from, methods, ...rest } = rule;
    const key = `${effect} ${keyOf(rest)}`;
    for (const caller of orAny(from))
      for (const method of orAny(methods)) grants.set(`${key} ${caller} ${method}`, [{ caller, method }]);
  }
  return grants;
}

/** Returns the methods of each rule for any caller, which covers more calls than the rule and never fewer. */
function wholeRules(unit: Unit | undefined): ReadonlyMap<string, readonly Grant[]> {
  return new Map(
    rulesOf(unit).map(({ effect, rule }) => [
      `${effect} ${keyOf(rule)}`,
      orAny(rule.methods).map((method) => ({ caller: "*", method })),
    ]),
  );
}

function missing(
  from: ReadonlyMap<string, readonly Grant[]>,
  other: ReadonlyMap<string, readonly Grant[]>,
): readonly Grant[] {
  return [...from].filter(([key]) => !other.has(key)).flatMap(([, grants]) => grants);
}

export function orAny(names: readonly string[]): readonly string[] {
  return names.length === 0 ? ["*"] : names;
}

export function sortUnique(texts: readonly string[]): readonly string[] {
  return texts.includes("*") ? ["*"] : [...new Set(texts)].sort();
}
