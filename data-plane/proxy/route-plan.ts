/** What a rule of a route changes of its calls' fields, made once a rule. */
import type { HeaderChanges } from "../../core/model.js";
import type { CompiledRouteRule } from "../../core/policy/compile.js";
import { headerNames } from "../../core/wire/headers.js";
import { PreparedField } from "../http2/prepared-field.js";
import type { ForwardPlan } from "./forward/call-owner.js";
import { FieldChanges } from "./forward/field-changes.js";

/** What callers say to journals of the mesh, and to nobody outside. */
export const ofJournalCallers = [headerNames.expectedSequence, headerNames.afterSequence];

/** More methods are not told apart: their plans are made anew. */
const methodsMax = 1000;

/** Plans with what one rule adds to another plan. */
export class RulePlans {
  /** The plan of which these are made. */
  readonly of: ForwardPlan;
  readonly #plan: ForwardPlan;
  /** The same, with the method that the caller asked for, where the rule changes it. */
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

/** The plan with what the rule adds to it. */
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

/** First what is removed, then what is set, then what is added. */
function changesOf(changes: HeaderChanges | undefined, dropped: readonly string[] = []): FieldChanges {
  const { set = [], add = [], remove = [] } = changes ?? {};
  const added = [...set, ...add].map(({ name, value }) => new PreparedField(name, value));
  return new FieldChanges([...dropped, ...remove, ...set.map(({ name }) => name)], added);
}
