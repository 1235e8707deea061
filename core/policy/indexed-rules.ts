/** The authorization rules of a unit in their order, grouped by caller. */
import { callerId } from "../identity.js";
import { readersRule } from "../journal/feed-method.js";
import type { AuthorizationRule, Unit } from "../model.js";
import { type Condition, parseCondition } from "./condition/condition.js";
import type { Failure } from "./condition/values.js";
import type { Decision } from "./decision.js";

export interface IndexedRule {
  readonly order: number;
  readonly effect: "allow" | "deny";
  /** The rule's id, such as "checkout-charges/allow[0]". */
  readonly id: string;
  readonly rule: AuthorizationRule;
  readonly condition: Condition | undefined;
  /** The decision that the rule gives where it matches. */
  readonly decision: Decision;
  /** True for the rule that lets the readers of a journal read its events; no other rule allows that. */
  readonly isForReaders: boolean;
}

export interface CallerGroups {
  /** The rules that name a caller, by SPIFFE ID. Callers with the same rules share one list. */
  readonly byCaller: ReadonlyMap<string, readonly IndexedRule[]>;
  /** The rules about any caller. */
  readonly everyone: readonly IndexedRule[];
}

/** The most entries of all tables of a unit; a larger unit is refused (I8). */
const entriesMax = 1_000_000;
const conditionsMax = 256;

/** Returns the rules of a unit. Fails with `invalid_policy` if a condition does not compile. */
export function indexRules(unit: Unit): readonly IndexedRule[] {
  const indexed: IndexedRule[] = [];
  const readers = readersRule(unit);
  if (readers !== undefined) {
    // it comes first, so that no rule without a condition hides it
    const { id, rule } = readers;
    const decision = Object.freeze({ allow: true, rule: id, reason: `allowed by ${id}` });
    indexed.push({ order: 0, effect: "allow", id, rule, condition: undefined, decision, isForReaders: true });
  }
  for (const { name, allow, deny } of unit.authorizations) {
    for (const [effect, rules] of [["deny", deny] as const, ["allow", allow] as const]) {
      for (const [index, rule] of rules.entries()) {
        const id = `${name}/${effect}[${index}]`;
        const text = conditionOf(rule);
        const condition = text === undefined ? undefined : parseCondition(text);
        const where = condition === undefined ? "" : `, where ${condition.text}`;
        const reason = `${effect === "allow" ? "allowed" : "denied"} by ${id}${where}`;
        const decision = Object.freeze({ allow: effect === "allow", rule: id, reason });
        indexed.push({ order: indexed.length, effect, id, rule, condition, decision, isForReaders: false });
      }
    }
  }
  return indexed;
}

/** Returns the condition of a rule in CEL: its `when`, and that the client is one of those that the rule names. */
function conditionOf({ client, when }: AuthorizationRule): string | undefined {
  if (client === undefined) return when;
  const isNamed = `client in [${client.map((one) => JSON.stringify(one)).join(", ")}]`;
  return when === undefined ? isNamed : `${isNamed} && (${when})`;
}

/** Returns the decision of a deny rule whose condition cannot be evaluated. */
export function denyUntold({ id, condition }: IndexedRule, { reason }: Failure): Decision {
  return { allow: false, rule: id, reason: `denied by ${id}, because ${reason}: ${condition?.text}` };
}

export function groupCallers(rules: readonly IndexedRule[], mesh: string): CallerGroups {
  const everyone: IndexedRule[] = [];
  const lists = new Map<string, IndexedRule[]>();
  for (const indexed of rules) {
    const { from } = indexed.rule;
    if (from.length === 0 || from.includes("*")) {
      everyone.push(indexed);
      continue;
    }
    for (const name of from) {
      const id = callerId(mesh, name);
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

/** Returns why the rules of the unit `name` cannot be indexed, or undefined if they can. */
export function whyGroupsTooLarge(name: string, { byCaller, everyone }: CallerGroups): string | undefined {
  let entries = 0;
  for (const rules of [everyone, ...new Set(byCaller.values())]) {
    for (const { rule } of rules) entries += Math.max(1, rule.methods.length);
  }
  if (entries <= entriesMax) return undefined;
  return `the authorizations of ${name} name ${entries} pairs of callers and methods, at most ${entriesMax}; use patterns such as "package.Service/*"`;
}

/** Returns why a unit has too many conditions for one call to be judged by, or undefined if it has not. */
export function whyTooManyConditions(name: string, rules: readonly IndexedRule[]): string | undefined {
  const count = rules.filter(({ condition }) => condition !== undefined).length;
  if (count <= conditionsMax) return undefined;
  return `the authorizations of ${name} have ${count} conditions, at most ${conditionsMax}; join some with ||`;
}
