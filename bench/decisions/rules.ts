/** One set of rules in the language of each engine: callers, methods, and who may call what. */

import { buildSpiffeId, type SpiffeId } from "../../core/identity.js";
import { unitWith } from "../../core/kinds/unit.js";
import type { Authorization, AuthorizationRule, Unit } from "../../core/model.js";

export const mesh = "bench";
export const service = "payments";
/** Reads the caller and a header, as conditions of policy files do. */
export const condition = 'request.headers["x-region"] == "eu" && request.headers["x-tier"] != "trial"';
export const headers: Readonly<Record<string, string>> = { "x-region": "eu", "x-tier": "gold" };

export interface Rule {
  readonly caller: string;
  readonly method: string;
}

export interface Question extends Rule {
  readonly callerId: SpiffeId;
  readonly expected: boolean;
}

/** Returns rules that each allow one caller one method. No two are alike. */
export function makeRules(count: number): readonly Rule[] {
  return Array.from({ length: count }, (_, i) => ({ caller: `caller-${i}`, method: `bench.Payments/Method${i % 50}` }));
}

/**
 * Returns questions, half of which are allowed. They are spread over the whole set, so that an engine that walks rules
 * walks half of them on average.
 */
export function makeQuestions(rules: readonly Rule[], count: number): readonly Question[] {
  return Array.from({ length: count }, (_, i) => {
    const rule = rules[Math.floor((i * rules.length) / count)] ?? { caller: "", method: "" };
    const expected = i % 2 === 0;
    const method = expected ? rule.method : "bench.Payments/Other";
    return { caller: rule.caller, method, callerId: buildSpiffeId(mesh, "service", rule.caller), expected };
  });
}

export function asUnit(rules: readonly Rule[], when?: string): Unit {
  const allow: AuthorizationRule[] = rules.map(({ caller, method }) => ({
    from: [caller],
    methods: [method],
    ...(when !== undefined && { when }),
  }));
  const authorization: Authorization = { kind: "Authorization", name: "bench", service, allow, deny: [] };
  return unitWith(service, {
    service: { kind: "Service", name: service, methods: [] },
    authorizations: [authorization],
  });
}

export function asCedar(rules: readonly Rule[], withCondition: boolean): string {
  const when = withCondition ? ' when { context.region == "eu" && context.tier != "trial" }' : "";
  return rules
    .map(
      ({ caller, method }) =>
        `permit(principal == Service::"${caller}", action == Action::"${method}", resource == Service::"${service}")${when};`,
    )
    .join("\n");
}

export const casbinModel = (withCondition: boolean): string => `
[request_definition]
r = sub, act${withCondition ? ", headers" : ""}
[policy_definition]
p = sub, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && r.act == p.act${withCondition ? ' && r.headers.region == "eu" && r.headers.tier != "trial"' : ""}
`;

export function asCasbin(rules: readonly Rule[]): string {
  return rules.map(({ caller, method }) => `p, ${caller}, ${method}`).join("\n");
}
