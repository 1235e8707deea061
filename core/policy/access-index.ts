/** Who may call what, as look-ups: callers with the same rules share one table of methods. */
import { AshlarError } from "../errors.js";
import { buildSpiffeId, type SpiffeId } from "../identity.js";
import type { AuthorizationRule, Unit } from "../model.js";
import { isMethod, serviceOfMethod } from "../snapshot/grammar.js";
import type { Decision } from "./compile.js";

type Effect = "allow" | "deny";

interface IndexedRule {
  readonly order: number;
  readonly effect: Effect;
  readonly rule: AuthorizationRule;
  readonly decision: Decision;
}

/** The first rule of one effect for a method, a service's methods, or all methods. */
interface MethodTable {
  any: IndexedRule | undefined;
  readonly exact: Map<string, IndexedRule>;
  readonly service: Map<string, IndexedRule>;
}

interface CallerTable {
  readonly deny: MethodTable;
  readonly allow: MethodTable;
}

const decisionsCachedMax = 10_000;
/** Entries of all tables of a unit; above it the unit is refused (I8). */
const entriesMax = 1_000_000;

/** Why the unit cannot be compiled; undefined: it can. */
export function whyTooLarge(unit: Unit, mesh: string): string | undefined {
  return whyGroupsTooLarge(unit.name, groupCallers(indexRules(unit), mesh));
}

/** The unit's `evaluate`. Fails with `limit` as `compileUnit` does. */
export function buildAccessIndex(unit: Unit, mesh: string): (caller: SpiffeId, method: string) => Decision {
  const groups = groupCallers(indexRules(unit), mesh);
  const why = whyGroupsTooLarge(unit.name, groups);
  if (why !== undefined) throw new AshlarError("limit", why);
  const tableOf = buildCallerTables(groups);
  const everyone = buildCallerTable(groups.everyone);
  const stated =
    unit.service !== undefined && unit.service.methods.length > 0 ? new Set(unit.service.methods) : undefined;
  const denied = defaultDecisions(unit.name);
  return rememberDecisions((caller, method) => {
    if (!isMethod(method)) return denied.malformed;
    if (stated !== undefined && !stated.has(method)) return denied.unstated;
    const table = tableOf.get(caller);
    const service = serviceOfMethod(method);
    const deny = firstOf(table?.deny, everyone.deny, method, service);
    if (deny !== undefined) return deny.decision;
    return firstOf(table?.allow, everyone.allow, method, service)?.decision ?? denied.unmatched;
  });
}

interface CallerGroups {
  /** The rules that name a caller, by SPIFFE ID; callers with the same rules share the very same list. */
  readonly byCaller: ReadonlyMap<string, readonly IndexedRule[]>;
  /** The rules about any caller. */
  readonly everyone: readonly IndexedRule[];
}

function indexRules(unit: Unit): readonly IndexedRule[] {
  const indexed: IndexedRule[] = [];
  for (const { name, allow, deny } of unit.authorizations) {
    for (const [effect, rules] of [["deny", deny] as const, ["allow", allow] as const]) {
      for (const [index, rule] of rules.entries()) {
        const id = `${name}/${effect}[${index}]`;
        const reason = effect === "allow" ? `allowed by ${id}` : `denied by ${id}`;
        const decision = Object.freeze({ allow: effect === "allow", rule: id, reason });
        indexed.push({ order: indexed.length, effect, rule, decision });
      }
    }
  }
  return indexed;
}

function groupCallers(rules: readonly IndexedRule[], mesh: string): CallerGroups {
  const everyone: IndexedRule[] = [];
  const lists = new Map<string, IndexedRule[]>();
  for (const indexed of rules) {
    const { from } = indexed.rule;
    if (from.length === 0 || from.includes("*")) {
      everyone.push(indexed);
      continue;
    }
    for (const name of from) {
      const id = name.startsWith("spiffe://") ? name : buildSpiffeId(mesh, "service", name);
      const list = lists.get(id);
      if (list === undefined) lists.set(id, [indexed]);
      else if (list.at(-1) !== indexed) list.push(indexed);
    }
  }
  const shared = new Map<string, readonly IndexedRule[]>();
  const byCaller = new Map<string, readonly IndexedRule[]>();
  for (const [id, list] of lists) {
    const key = list.map((indexed) => indexed.order).join();
    const first = shared.get(key) ?? list;
    shared.set(key, first);
    byCaller.set(id, first);
  }
  return { byCaller, everyone };
}

function whyGroupsTooLarge(name: string, { byCaller, everyone }: CallerGroups): string | undefined {
  let entries = 0;
  for (const rules of [everyone, ...new Set(byCaller.values())]) {
    for (const { rule } of rules) entries += Math.max(1, rule.methods.length);
  }
  if (entries <= entriesMax) return undefined;
  return `the authorizations of ${name} name ${entries} pairs of callers and methods, at most ${entriesMax}; use patterns such as "package.Service/*"`;
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

/** Rules come in order, so what is there already stays: the first rule that matches is the one that is named. */
function buildMethodTable(rules: readonly IndexedRule[], effect: Effect): MethodTable {
  const table: MethodTable = { any: undefined, exact: new Map(), service: new Map() };
  for (const indexed of rules) {
    if (indexed.effect !== effect) continue;
    const { methods } = indexed.rule;
    if (methods.length === 0 || methods.includes("*")) table.any ??= indexed;
    for (const method of methods) {
      const key = method.endsWith("/*") ? serviceOfMethod(method) : method;
      const map = method.endsWith("/*") ? table.service : table.exact;
      if (method !== "*" && !map.has(key)) map.set(key, indexed);
    }
  }
  return table;
}

function firstOf(
  own: MethodTable | undefined,
  everyone: MethodTable,
  method: string,
  service: string,
): IndexedRule | undefined {
  const ofOwn = own === undefined ? undefined : firstInTable(own, method, service);
  return earlier(ofOwn, firstInTable(everyone, method, service));
}

function firstInTable(table: MethodTable, method: string, service: string): IndexedRule | undefined {
  return earlier(earlier(table.exact.get(method), table.service.get(service)), table.any);
}

function earlier(a: IndexedRule | undefined, b: IndexedRule | undefined): IndexedRule | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.order < b.order ? a : b;
}

function defaultDecisions(service: string) {
  const deny = (reason: string): Decision => Object.freeze({ allow: false, rule: "default-deny", reason });
  return {
    malformed: deny("it is not a method: package.Service/Method"),
    unstated: deny(`${service} states its methods, and this is none of them`),
    unmatched: deny(`no authorization of ${service} allows it`),
  };
}

/** Keeps decisions by caller and method; forgets all of them when there are too many (I8). */
function rememberDecisions(
  decide: (caller: SpiffeId, method: string) => Decision,
): (caller: SpiffeId, method: string) => Decision {
  const byCaller = new Map<string, Map<string, Decision>>();
  let count = 0;
  return (caller, method) => {
    const known = byCaller.get(caller)?.get(method);
    if (known !== undefined) return known;
    if (count >= decisionsCachedMax) {
      byCaller.clear();
      count = 0;
    }
    const decision = decide(caller, method);
    const ofCaller = byCaller.get(caller) ?? new Map<string, Decision>();
    byCaller.set(caller, ofCaller.set(method, decision));
    count += 1;
    return decision;
  };
}
