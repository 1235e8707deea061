/** The header fields that are added to outbound calls, prepared once for each service, rule and revision. */
import type { Label } from "../../core/model.js";
import type { CompiledRouteRule } from "../../core/policy/compiled-route.js";
import { headerNames, renderLabels } from "../../core/wire/headers.js";
import { PreparedField } from "../http2/prepared-field.js";
import type { OutsideWay } from "../ports.js";
import type { CalledService } from "./called-services.js";
import type { ForwardPlan } from "./forward/call-owner.js";
import { FieldChanges } from "./forward/field-changes.js";
import { ofJournalCallers, RulePlans } from "./route-plan.js";

const https = new PreparedField(":scheme", "https");
const notOutside = new FieldChanges(ofJournalCallers, []);

export class OutboundPlans {
  /** The header field that tells peers this proxy's labels. */
  readonly #labels: readonly PreparedField[];
  /** The plans for ordinary requests, by service. All belong to one epoch. */
  readonly #plans = new Map<CalledService, ForwardPlan>();
  /** The plans with a route rule's changes. Each is based on one of `#plans`. */
  readonly #rulePlans = new WeakMap<CompiledRouteRule, RulePlans>();
  readonly #outside = new WeakMap<OutsideWay, ForwardPlan>();
  #epoch = -1;
  #revision = -1;

  constructor(labels: readonly Label[]) {
    const rendered = renderLabels(labels);
    this.#labels = rendered === "" ? [] : [new PreparedField(headerNames.labels, rendered)];
  }

  /** Returns the plan for calls to a service of the mesh. */
  for(called: CalledService, epoch: number, revision: number): ForwardPlan {
    if (epoch !== this.#epoch || revision !== this.#revision) {
      this.#plans.clear();
      this.#epoch = epoch;
      this.#revision = revision;
    }
    let plan = this.#plans.get(called);
    if (plan === undefined) {
      const last = [new PreparedField(headerNames.epoch, String(epoch)), ...this.#labels];
      plan = { first: called.first, last, revision };
      this.#plans.set(called, plan);
    }
    return plan;
  }

  /** Returns the plan for calls that leave the mesh: nothing of the mesh's own goes with them. */
  outside(way: OutsideWay, revision: number): ForwardPlan {
    let plan = this.#outside.get(way);
    if (plan?.revision !== revision) {
      const first = [https, new PreparedField(":authority", way.authority)];
      plan = { first, last: [], request: notOutside, revision, isOutside: true };
      this.#outside.set(way, plan);
    }
    return plan;
  }

  /** Returns `plan` with the rule's changes. `method`: the method that the caller asked for. */
  ofRule(plan: ForwardPlan, rule: CompiledRouteRule, method: string): ForwardPlan {
    const known = this.#rulePlans.get(rule);
    if (known?.of === plan) return known.for(method);
    const made = new RulePlans(plan, rule);
    this.#rulePlans.set(rule, made);
    return made.for(method);
  }
}
