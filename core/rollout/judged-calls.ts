/**
 * Which callers' calls with which methods fare differently by the rules of two units. Each rule is taken apart into a
 * caller and a method each: a call whose verdict differs matches one of those that only one of the units has. Pure.
 */
import type { AuthorizationRule, Unit } from "../model.js";
import { keyOf } from "./same-value.js";

/** Calls of certain callers with certain methods. */
export interface CallsOf {
  /** Names of services; undefined: anybody's. */
  readonly callers: readonly string[] | undefined;
  /** "package.Service/Method", "package.Service/*" or "*"; sorted, not empty. */
  readonly methods: readonly string[];
}

/** One caller and one method of a rule; "*": any. */
interface Grant {
  readonly caller: string;
  readonly method: string;
}

/** More are not taken apart: whole rules are compared, which may find too much. */
const grantsMax = 50_000;
/** More groups are taken as one. */
const groupsMax = 8;
const serviceName = /^[a-z0-9-]+$/;

/** The callers that have the same methods together. */
export function findJudgedCalls(base: Unit | undefined, candidate: Unit | undefined): readonly CallsOf[] {
  const count = [base, candidate].flatMap(rulesOf).reduce((sum, { rule }) => sum + sizeOf(rule), 0);
  const take = count > grantsMax ? wholeRules : grantsOf;
  const [a, b] = [take(base), take(candidate)];
  const differing = [...missing(a, b), ...missing(b, a)];
  const methodsOf = new Map<string, Set<string>>();
  for (const { caller, method } of differing) {
    // SPIFFE IDs in full may be of services of this mesh too
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

/** The methods of a rule, of anybody: more than it says, and never less. */
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
