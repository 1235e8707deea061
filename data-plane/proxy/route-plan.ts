/** The changes that a route's rule makes to its calls' header fields, prepared once per rule. */
import type { HeaderChanges } from "../../core/model.js";
import type { CompiledRouteRule } from "../../core/policy/compile.js";
import { headerNames } from "../../core/wire/headers.js";
import { PreparedField } from "../http2/prepared-field.js";
import type { ForwardPlan } from "./forward/call-owner.js";
import { FieldChanges } from "./forward/field-changes.js";

/** The header fields that callers send to journals of the mesh. They are not sent outside the mesh. */
export const ofJournalCallers = [headerNames.expectedSequence, headerNames.afterSequence];

/** The most methods whose plans are kept. Beyond that, plans are created again. */
const methodsMax = 1000;

/** The plans that one rule makes of another plan. */
export class RulePlans {
  /** The plan that they are based on. */
  readonly of: ForwardPlan;
  readonly #plan: ForwardPlan;
  /** Plans by the method that the caller asked for, if the rule rewrites methods. undefined: the rule does not. */
  readonly #byMethod: Map<string, ForwardPlan> | undefined;

  constructor(of: ForwardPlan, rule: CompiledRouteRule) {
    this.of = of;
    this.#plan = planOfRule(of, rule);
    this.#byMethod = rule.rewrite === undefined ? undefined : new Map();
  }

  /** Returns the plan for a call that asks for `method`. */
  for(method: string): ForwardPlan {
    if (this.#byMethod === undefined) return this.#plan;
    let plan = this.#byMethod.get(method);
    if (plan === undefined) {
      if (this.#byMethod.size >= methodsMax) this.#byMethod.clear();
      const called = new PreparedField(headerNames.calledMethod, method);
      plan = { ...this.#plan, last: [...this.#plan.last, called] };
      this.#byMethod.set(method, plan);
    }
    return plan;
  }
}

/** Returns the plan with the rule's changes. */
function planOfRule(plan: ForwardPlan, rule: CompiledRouteRule): ForwardPlan {
  const { rewrite, requestHeaders, responseHeaders } = rule;
  const dropped = plan.isOutside === true ? ofJournalCallers : [];
  const request = changesOf(requestHeaders, rewrite === undefined ? dropped : [...dropped, ":path"]);
  const response = responseHeaders && changesOf(responseHeaders);
  const path = rewrite === undefined ? [] : [new PreparedField(":path", `/${rewrite}`)];
  return {
    ...plan,
    first: [...plan.first, ...path],
    last: [...plan.last, ...request.added],
    request,
    ...(response === undefined ? {} : { response }),
  };
}

/** Returns the changes of one rule: fields are removed first, then set, then added. */
function changesOf(changes: HeaderChanges | undefined, dropped: readonly string[] = []): FieldChanges {
  const { set = [], add = [], remove = [] } = changes ?? {};
  const added = [...set, ...add].map(({ name, value }) => new PreparedField(name, value));
  return new FieldChanges([...dropped, ...remove, ...set.map(({ name }) => name)], added);
}
