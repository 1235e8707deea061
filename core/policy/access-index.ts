/** Answers which caller may call which method by look-ups. Callers with the same rules share one table of methods. */

import { AshlarError } from "../errors.js";
import type { SpiffeId } from "../identity.js";
import { feedMethod } from "../journal/feed-method.js";
import { calleeOf } from "../kinds/callee.js";
import type { Unit } from "../model.js";
import { isMethod, methodLengthMax, serviceOfMethod } from "../snapshot/grammar.js";
import {
  type AccessPlan,
  accessOf,
  buildPlan,
  buildSubject,
  conditionOf,
  decide,
  readsOf,
  type SubjectKnowledge,
  tokenMayHelp,
} from "./access-plan.js";
import type { CompiledUnit } from "./compiled-unit.js";
import type { Decision } from "./decision.js";
import {
  type CallerGroups,
  groupCallers,
  type IndexedRule,
  indexRules,
  whyGroupsTooLarge,
  whyTooManyConditions,
} from "./indexed-rules.js";

/**
 * The rules of one effect for a method, for a service's methods, or for all methods, in order. A list ends with the
 * first rule without a condition, because that rule matches every call.
 */
interface MethodTable {
  readonly any: IndexedRule[];
  readonly exact: Map<string, IndexedRule[]>;
  readonly service: Map<string, IndexedRule[]>;
}

interface CallerTable {
  readonly deny: MethodTable;
  readonly allow: MethodTable;
}

type AccessIndex = Pick<
  CompiledUnit,
  | "evaluate"
  | "evaluateCall"
  | "readsOf"
  | "readsToken"
  | "asksForToken"
  | "conditionFor"
  | "accessFor"
  | "hasConditions"
  | "hasTokenRules"
>;
type PlanOf = (caller: SpiffeId, method: string, knows?: SubjectKnowledge) => AccessPlan;

const plansCachedMax = 10_000;
const none: readonly IndexedRule[] = [];

/** Returns why the unit cannot be compiled, or undefined if it can. */
export function whyTooLarge(unit: Unit, mesh: string): string | undefined {
  const rules = indexRules(unit);
  return whyTooManyConditions(unit.name, rules) ?? whyGroupsTooLarge(unit.name, groupCallers(rules, mesh));
}

/** Builds the index that decides about calls of a unit. Fails with `limit` as `compileUnit` does. */
export function buildAccessIndex(unit: Unit, mesh: string): AccessIndex {
  const rules = indexRules(unit);
  const groups = groupCallers(rules, mesh);
  const why = whyTooManyConditions(unit.name, rules) ?? whyGroupsTooLarge(unit.name, groups);
  if (why !== undefined) throw new AshlarError("limit", why);
  const makePlan = planner(unit, groups, mesh);
  const hasConditions = rules.some(({ condition }) => condition !== undefined);
  const planOf = rememberPlans(makePlan);
  return {
    hasConditions,
    evaluate: (caller, method) => planOf(caller, method).decision,
    evaluateCall(caller, method, inputs) {
      const { open, decision } = planOf(caller, method);
      return open === undefined ? decision : decide(open, inputs);
    },
    readsOf: (caller, method) => readsOf(planOf(caller, method)),
    hasTokenRules: rules.some(({ condition }) => condition?.readsToken === true),
    readsToken: (caller, method) => planOf(caller, method).open?.readsToken === true,
    asksForToken(caller, method, inputs) {
      const { open } = planOf(caller, method);
      return open !== undefined && tokenMayHelp(open, inputs);
    },
    conditionFor: (caller, method, knows) => conditionOf(makePlan(caller, method, knows)),
    accessFor: (caller, method, knows) => accessOf(makePlan(caller, method, knows)),
  };
}

function planner(unit: Unit, groups: CallerGroups, mesh: string): PlanOf {
  const tableOf = buildCallerTables(groups);
  const everyone = buildCallerTable(groups.everyone);
  const { methods = [] } = calleeOf(unit) ?? {};
  const stated = methods.length > 0 ? new Set(methods) : undefined;
  const denied = defaultDecisions(unit.name);
  return (caller, method, knows) => {
    if (!isMethod(method)) return settled(denied.malformed);
    const isFeed = method === feedMethod;
    if (stated !== undefined && !stated.has(method) && !isFeed) return settled(denied.unstated);
    const table = tableOf.get(caller);
    const service = serviceOfMethod(method);
    const denies = rulesFor(table?.deny, everyone.deny, method, service);
    const found = rulesFor(table?.allow, everyone.allow, method, service);
    const allows = isFeed ? found.filter(({ isForReaders }) => isForReaders) : found;
    const [firstDeny] = denies;
    if (firstDeny !== undefined && firstDeny.condition === undefined) return settled(firstDeny.decision);
    if (firstDeny === undefined) {
      const [firstAllow] = allows;
      if (firstAllow === undefined) return settled(isFeed ? denied.noReader : denied.unmatched);
      if (firstAllow.condition === undefined) return settled(firstAllow.decision);
    }
    return buildPlan(buildSubject(caller, method, mesh), denies, allows, denied.unmatched, knows);
  };
}

/** Plans that need nothing but the pair, by their decision. There are few decisions, so these plans are shared. */
const settledPlans = new WeakMap<Decision, AccessPlan>();

function settled(decision: Decision): AccessPlan {
  const known = settledPlans.get(decision);
  if (known !== undefined) return known;
  const plan: AccessPlan = Object.freeze({ decision, open: undefined });
  settledPlans.set(decision, plan);
  return plan;
}

function buildCallerTables({ byCaller }: CallerGroups): ReadonlyMap<string, CallerTable> {
  const tables = new Map<readonly IndexedRule[], CallerTable>();
  const tableOf = new Map<string, CallerTable>();
  for (const [id, rules] of byCaller) {
    const table = tables.get(rules) ?? buildCallerTable(rules);
    tables.set(rules, table);
    tableOf.set(id, table);
  }
  return tableOf;
}

function buildCallerTable(rules: readonly IndexedRule[]): CallerTable {
  return { deny: buildMethodTable(rules, "deny"), allow: buildMethodTable(rules, "allow") };
}

function buildMethodTable(rules: readonly IndexedRule[], effect: IndexedRule["effect"]): MethodTable {
  const table: MethodTable = { any: [], exact: new Map(), service: new Map() };
  for (const indexed of rules) {
    if (indexed.effect !== effect) continue;
    const { methods } = indexed.rule;
    if (methods.length === 0 || methods.includes("*")) addRule(table.any, indexed);
    for (const method of methods) {
      if (method === "*") continue;
      const key = method.endsWith("/*") ? serviceOfMethod(method) : method;
      const map = method.endsWith("/*") ? table.service : table.exact;
      const list = map.get(key);
      if (list === undefined) map.set(key, [indexed]);
      else addRule(list, indexed);
    }
  }
  return table;
}

/** Appends a rule to a list. Rules come in order, so earlier rules take precedence. */
function addRule(list: IndexedRule[], indexed: IndexedRule): void {
  const last = list.at(-1);
  if (last === undefined || (last.condition !== undefined && last !== indexed)) list.push(indexed);
}

/** Returns the rules about a caller and a method, in order and each once. */
function rulesFor(
  own: MethodTable | undefined,
  everyone: MethodTable,
  method: string,
  service: string,
): readonly IndexedRule[] {
  const general = merge(everyone.any, merge(everyone.service.get(service), everyone.exact.get(method)));
  if (own === undefined) return general;
  return merge(general, merge(own.any, merge(own.service.get(service), own.exact.get(method))));
}

function merge(a: readonly IndexedRule[] = none, b: readonly IndexedRule[] = none): readonly IndexedRule[] {
  const [firstOfA] = a;
  const [firstOfB] = b;
  if (firstOfA === undefined) return b;
  if (firstOfB === undefined) return a;
  const [first, other] = firstOfA.order <= firstOfB.order ? [a, b] : [b, a];
  // A rule without a condition matches every call, so most merges only choose one list.
  if (first[0]?.condition === undefined) return first;
  return [...new Set([...first, ...other])].sort((left, right) => left.order - right.order);
}

function defaultDecisions(service: string) {
  const deny = (reason: string): Decision => Object.freeze({ allow: false, rule: "default-deny", reason });
  return {
    malformed: deny("it is not a method: package.Service/Method"),
    unstated: deny(`${service} states its methods, and this is none of them`),
    unmatched: deny(`no authorization of ${service} allows it`),
    noReader: deny(`it is none of the readers of ${service}'s Journal`),
  };
}

/** Remembers plans by caller and method, and forgets all of them when there are too many (I8). */
function rememberPlans(makePlan: PlanOf): (caller: SpiffeId, method: string) => AccessPlan {
  const byCaller = new Map<string, Map<string, AccessPlan>>();
  let count = 0;
  return (caller, method) => {
    const known = byCaller.get(caller)?.get(method);
    if (known !== undefined) return known;
    if (count >= plansCachedMax) {
      byCaller.clear();
      count = 0;
    }
    const plan = makePlan(caller, method);
    // such a call is denied; callers may send any number of long names, so they are not remembered
    if (method.length > methodLengthMax) return plan;
    const ofCaller = byCaller.get(caller) ?? new Map<string, AccessPlan>();
    byCaller.set(caller, ofCaller.set(method, plan));
    count += 1;
    return plan;
  };
}
