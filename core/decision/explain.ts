/** Explains why a call was decided as it was, and which smallest change of policy would allow it. */

import { type SpiffeId, workloadIn } from "../identity.js";
import { notDirectRule } from "../journal/direct-reads.js";
import { calleeOf } from "../kinds/callee.js";
import type { Unit } from "../model.js";
import { buildSubject } from "../policy/access-plan.js";
import type { CompiledUnit } from "../policy/compile.js";
import { Failure } from "../policy/condition/values.js";
import { type IndexedRule, indexRules } from "../policy/indexed-rules.js";
import { isMethod, serviceOfMethod } from "../snapshot/grammar.js";
import type { DecisionRecord } from "./decision-record.js";
import { changeAtEdge } from "./edge-refusals.js";
import { RecordedInputs } from "./recorded-inputs.js";
import { type Redecided, type Rewrites, redecide, type Undecidable } from "./redecide.js";

/** The part of an allow rule that the call does not meet, or the part of a deny rule that it meets. */
export type RuleTerm = "caller" | "method" | "condition";

export interface NearestRule {
  /**
   * The name of the allow rule that comes nearest to allowing the call, or of the deny rule that forbids it; empty:
   * there is no rule.
   */
  readonly rule: string;
  readonly failing: readonly { readonly term: RuleTerm; readonly why: string }[];
  /** The smallest change to policy that would allow it, in words. */
  readonly change: string;
}

export interface Explanation {
  readonly again: Redecided | Undecidable;
  /** The allow rule that came nearest; undefined if policy did not deny the call. */
  readonly nearest: NearestRule | undefined;
}

/**
 * Decides a call again by `policy` of the mesh `mesh` (undefined: the policy has no such service), and explains a
 * denial. `rewrites`: see `Rewrites`.
 */
export function explainDecision(
  record: DecisionRecord,
  policy: { readonly unit: Unit; readonly compiled: CompiledUnit } | undefined,
  mesh: string,
  rewrites: Rewrites = "recorded",
): Explanation {
  const again = redecide(record, policy?.compiled, rewrites);
  if (again.kind === "undecidable" || again.verdict !== "denied") return { again, nearest: undefined };
  if (record.direction === "edge")
    return { again, nearest: { rule: "", failing: [], change: changeAtEdge(record, record.service, again.rule) } };
  if (again.rule === notDirectRule) {
    const change = `call it through the proxy; a read may go direct once the Journal of ${record.service} says reads: direct and its Service marks ${again.method} noSideEffects`;
    return { again, nearest: { rule: "", failing: [], change } };
  }
  if (policy === undefined) {
    const change = `add a Service ${record.service}, with an Authorization that allows ${callerName(record.caller, mesh)}`;
    return { again, nearest: { rule: "", failing: [], change } };
  }
  return { again, nearest: findNearest({ ...record, method: again.method }, again, policy.unit, mesh) };
}

function findNearest(record: DecisionRecord, again: Redecided, unit: Unit, mesh: string): NearestRule {
  const { caller, method, service } = record;
  const rules = indexRules(unit);
  const deny = rules.find(({ effect, id }) => effect === "deny" && id === again.rule);
  if (deny !== undefined) return { rule: deny.id, failing: [], change: changeOfDeny(deny, caller, mesh) };
  if (!isMethod(method))
    return {
      rule: "",
      failing: [],
      change: `none: ${JSON.stringify(method)} is not of the form package.Service/Method`,
    };
  const { kind = "Service", methods: stated = [] } = calleeOf(unit) ?? {};
  if (stated.length > 0 && !stated.includes(method)) {
    const failing = [
      { term: "method", why: `${kind} ${service} states its methods, and this is none of them` },
    ] as const;
    return { rule: "", failing, change: `add ${method} to the methods of ${kind} ${service}` };
  }
  const allows = rules.filter(({ effect }) => effect === "allow").map((rule) => missesOf(rule, record, mesh));
  const [nearest] = allows.sort((a, b) => a.cost - b.cost);
  if (nearest === undefined) {
    const change = `add an Authorization of ${service} that allows ${callerName(caller, mesh)} to call ${method}`;
    return { rule: "", failing: [], change };
  }
  const { rule, failing, changes } = nearest;
  return { rule: rule.id, failing, change: changes.join(", and ") };
}

interface Misses {
  readonly rule: IndexedRule;
  readonly failing: NearestRule["failing"];
  readonly changes: readonly string[];
  /**
   * How far the rule is from allowing the call; lowest for a rule whose caller and method match and whose condition
   * alone does not hold.
   */
  readonly cost: number;
}

const costs = { condition: 10, caller: 11, method: 12 } as const satisfies Record<RuleTerm, number>;

function missesOf(rule: IndexedRule, record: DecisionRecord, mesh: string): Misses {
  const { caller, method } = record;
  const failing: { term: RuleTerm; why: string }[] = [];
  const changes: string[] = [];
  const name = callerName(caller, mesh);
  if (!isFrom(rule, caller, mesh)) {
    failing.push({ term: "caller", why: `it is from ${rule.rule.from.join(", ")}` });
    changes.push(`add ${name} to ${rule.id}.from`);
  }
  if (!isOfMethod(rule, method)) {
    failing.push({ term: "method", why: `it is about ${rule.rule.methods.join(", ")}` });
    changes.push(`add ${method} to ${rule.id}.methods`);
  }
  const why = whyNot(rule, record, mesh);
  if (why !== undefined) {
    failing.push({ term: "condition", why });
    changes.push(`let the condition of ${rule.id} hold for it (${rule.condition?.text})`);
  }
  return { rule, failing, changes, cost: failing.reduce((sum, { term }) => sum + costs[term], 0) };
}

/**
 * Returns why the condition of a rule does not hold for the call, or undefined if it holds or the rule has no
 * condition.
 */
function whyNot({ condition }: IndexedRule, record: DecisionRecord, mesh: string): string | undefined {
  if (condition === undefined) return undefined;
  const inputs = new RecordedInputs(record.inputs, record.timeMs);
  const outcome = condition.evaluate(buildSubject(record.caller, record.method, mesh), inputs);
  if (inputs.unknown.length > 0) return `it reads what was not recorded: ${inputs.unknown.join(", ")}`;
  if (outcome === true) return undefined;
  return outcome instanceof Failure ? outcome.reason : `it is false: ${condition.text}`;
}

function changeOfDeny({ id, rule, condition }: IndexedRule, caller: SpiffeId, mesh: string): string {
  const name = callerName(caller, mesh);
  const named = rule.from.find((from) => from === caller || from === workloadIn(caller, mesh));
  const unless = condition === undefined ? "" : `, or change its condition (${condition.text})`;
  if (named !== undefined) return `take ${named} out of ${id}.from${unless}`;
  return `${id} is about every caller: name those it is meant for, without ${name}${unless}`;
}

function isFrom({ rule }: IndexedRule, caller: SpiffeId, mesh: string): boolean {
  const service = workloadIn(caller, mesh);
  return rule.from.length === 0 || rule.from.some((from) => from === "*" || from === caller || from === service);
}

function isOfMethod({ rule }: IndexedRule, method: string): boolean {
  const pattern = `${serviceOfMethod(method)}/*`;
  return rule.methods.length === 0 || rule.methods.some((one) => one === "*" || one === method || one === pattern);
}

/** Returns the name of the caller as policy files write it. */
function callerName(caller: SpiffeId, mesh: string): string {
  return workloadIn(caller, mesh) ?? caller;
}
