/** What a rule of a route changes of its calls' fields, made once a rule. */
import type { HeaderChanges } from "../../core/model.js";
import type { CompiledRouteRule } from "../../core/policy/compile.js";
import { PreparedField } from "../http2/prepared-field.js";
import type { ForwardPlan } from "./forward/call-owner.js";
import { FieldChanges } from "./forward/field-changes.js";

/** The plan with what the rule adds to it. */
export function planOfRule(plan: ForwardPlan, rule: CompiledRouteRule): ForwardPlan {
  const { rewrite, requestHeaders, responseHeaders } = rule;
  const request = changesOf(requestHeaders, rewrite === undefined ? [] : [":path"]);
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
