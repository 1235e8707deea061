/**
 * The plan for a caller and a method: the decision if the pair alone settles it, otherwise the rules whose conditions
 * have to be evaluated for each call.
 */
import { type SpiffeId, trustDomainOf, workloadIn } from "../identity.js";
import { serviceOfMethod } from "../snapshot/grammar.js";
import type { Access, Decision, SubjectKnowledge } from "./decision.js";

export type { Access, SubjectKnowledge } from "./decision.js";

import type { CallInputs, Subject } from "./condition/frame.js";
import type { ConditionRead } from "./condition/scope.js";
import { Failure } from "./condition/values.js";
import { denyUntold, type IndexedRule } from "./indexed-rules.js";

interface Step {
  readonly indexed: IndexedRule;
  /** The decision if the rule matches every call; undefined if its condition has to be evaluated. */
  readonly decision: Decision | undefined;
}

/** The rules that can still match, in order, up to the first that matches every call. */
interface OpenPlan {
  readonly subject: Subject;
  /** True if one of these rules reads the token. */
  readonly readsToken: boolean;
  readonly denies: readonly Step[];
  readonly allows: readonly Step[];
  readonly unmatched: Decision;
}

export interface AccessPlan {
  /**
   * The decision if nothing but the pair is known. A condition that reads more then matches in a deny and not in an
   * allow.
   */
  readonly decision: Decision;
  /** The rules to evaluate for each call; undefined: `decision` holds for every call. */
  readonly open: OpenPlan | undefined;
}

const knowsAll: SubjectKnowledge = { caller: true, method: true };
const rulesNamedMax = 3;
const nothing: ReadonlySet<ConditionRead> = new Set();

export function buildSubject(caller: SpiffeId, method: string, mesh: string): Subject {
  return {
    caller,
    callerService: workloadIn(caller, mesh) ?? "",
    trustDomain: trustDomainOf(caller),
    method,
    rpcService: serviceOfMethod(method),
  };
}

/** Builds the plan of a pair. `denies` and `allows`: the rules about the pair, in order. */
export function buildPlan(
  subject: Subject,
  denies: readonly IndexedRule[],
  allows: readonly IndexedRule[],
  unmatched: Decision,
  knows: SubjectKnowledge = knowsAll,
): AccessPlan {
  const denySteps = stepsOf(denies, subject, knows);
  const [firstDeny] = denySteps;
  if (firstDeny?.decision !== undefined) return { decision: firstDeny.decision, open: undefined };
  const allowSteps = stepsOf(allows, subject, knows);
  if (firstDeny === undefined) {
    const [firstAllow] = allowSteps;
    if (firstAllow === undefined) return { decision: unmatched, open: undefined };
    if (firstAllow.decision !== undefined) return { decision: firstAllow.decision, open: undefined };
  }
  const readsToken = denySteps.some(stepReadsToken) || allowSteps.some(stepReadsToken);
  const open = {
    subject,
    readsToken,
    denies: denySteps,
    allows: allowSteps,
    unmatched: explain(unmatched, allowSteps),
  };
  return { decision: decide(open, undefined), open };
}

/** Decides about one call. The decision names the first rule that matches. */
export function decide({ subject, denies, allows, unmatched }: OpenPlan, inputs: CallInputs | undefined): Decision {
  for (const { indexed, decision } of denies) {
    if (decision !== undefined) return decision;
    const matched = indexed.condition?.evaluate(subject, inputs);
    if (matched !== false) return matched instanceof Failure ? denyUntold(indexed, matched) : indexed.decision;
  }
  for (const { indexed, decision } of allows) {
    if (decision !== undefined) return decision;
    if (indexed.condition?.evaluate(subject, inputs) === true) return indexed.decision;
  }
  return unmatched;
}

function stepReadsToken({ indexed, decision }: Step): boolean {
  return decision === undefined && indexed.condition?.readsToken === true;
}

/**
 * Returns whether a token could turn the denial of a call that has none: no deny rule that ignores tokens forbids the
 * call, and some allow rule matches or reads the token.
 */
export function tokenMayHelp({ readsToken, subject, denies, allows }: OpenPlan, inputs: CallInputs): boolean {
  const matches = ({ indexed, decision }: Step) =>
    decision !== undefined || indexed.condition?.evaluate(subject, inputs);
  if (!readsToken || denies.some((step) => !stepReadsToken(step) && matches(step) !== false)) return false;
  return allows.some((step) => stepReadsToken(step) || matches(step) === true);
}

/**
 * Returns a CEL condition that is true exactly for the calls that `decide` allows. For the others it is false or cannot
 * be evaluated. It is "true" or "false" if the pair alone settles the decision.
 */
export function conditionOf({ open, decision }: AccessPlan): string {
  if (open === undefined) return String(decision.allow);
  const { denies, allows } = open;
  if (allows.length === 0 || denies.some((step) => step.decision !== undefined)) return "false";
  const allowed = allows.some((step) => step.decision !== undefined) ? [] : textsOf(allows);
  const denied = textsOf(denies).map((text) => `!(${text})`);
  if (allowed.length === 0 && denied.length === 0) return "true";
  if (denied.length === 0 && allowed.length === 1) return allowed.join();
  const either = allowed.map((text) => `(${text})`).join(" || ");
  if (denied.length === 0) return either;
  return [...(allowed.length > 1 ? [`(${either})`] : allowed.length === 1 ? [either] : []), ...denied].join(" && ");
}

/** Returns what the conditions of the plan read of a call. */
export function readsOf({ open }: AccessPlan): ReadonlySet<ConditionRead> {
  if (open === undefined) return nothing;
  const reads = new Set<ConditionRead>();
  for (const { indexed, decision } of [...open.denies, ...open.allows]) {
    if (decision === undefined) for (const read of indexed.condition?.reads ?? nothing) reads.add(read);
  }
  return reads;
}

/** Returns what is known about the access of a caller to a method without a call. */
export function accessOf(plan: AccessPlan): Access {
  const condition = conditionOf(plan);
  const { open, decision } = plan;
  if (open === undefined) return { kind: decision.allow ? "allowed" : "denied", rule: decision.rule, condition: "" };
  if (condition === "false") {
    const denying = open.denies.find((step) => step.decision !== undefined)?.decision ?? open.unmatched;
    return { kind: "denied", rule: denying.rule, condition: "" };
  }
  const sure = open.allows.find((step) => step.decision !== undefined)?.decision;
  if (condition === "true") return { kind: "allowed", rule: sure?.rule ?? decision.rule, condition: "" };
  return { kind: "conditional", rule: open.allows[0]?.indexed.id ?? decision.rule, condition };
}

function textsOf(steps: readonly Step[]): readonly string[] {
  return [...new Set(steps.map(({ indexed }) => indexed.condition?.text ?? "true"))];
}

function stepsOf(rules: readonly IndexedRule[], subject: Subject, knows: SubjectKnowledge): readonly Step[] {
  const steps: Step[] = [];
  for (const indexed of rules) {
    const { condition, effect } = indexed;
    const isOpen = condition !== undefined && !isKnown(condition.reads, knows);
    if (isOpen) {
      steps.push({ indexed, decision: undefined });
      continue;
    }
    const matched = condition === undefined ? true : condition.evaluate(subject, undefined);
    if (matched === true) return [...steps, { indexed, decision: indexed.decision }];
    if (matched instanceof Failure && effect === "deny")
      return [...steps, { indexed, decision: Object.freeze(denyUntold(indexed, matched)) }];
  }
  return steps;
}

function isKnown(reads: ReadonlySet<string>, knows: SubjectKnowledge): boolean {
  for (const read of reads) {
    if (!(read === "caller" && knows.caller) && !(read === "method" && knows.method)) return false;
  }
  return true;
}

/** Adds to a denial the names of the rules that would have allowed the call. */
function explain(unmatched: Decision, allows: readonly Step[]): Decision {
  if (allows.length === 0) return unmatched;
  const named = allows
    .slice(0, rulesNamedMax)
    .map(({ indexed }) => `${indexed.id} would where ${indexed.condition?.text}`);
  const more = allows.length > rulesNamedMax ? ["…"] : [];
  return Object.freeze({ ...unmatched, reason: [unmatched.reason, ...named, ...more].join("; ") });
}
