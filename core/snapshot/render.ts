/** Units to policy files in canonical form: parsing them builds the same snapshot. */
import { stringify } from "yaml";
import type { Limit } from "../limit/limit-model.js";
import type { AuthorizationRule, PolicyObject, RouteMatch, RouteRule, Unit } from "../model.js";
import { renderDuration } from "./duration.js";
import { renderRate } from "./limit-grammar.js";

/** The objects of a unit: the service, its authorizations, its routes, the assertions about it, its rate limits; issuers of tokens. */
export function objectsOf(unit: Unit): readonly PolicyObject[] {
  const { service, authorizations, routes, assertions, rateLimits, issuers } = unit;
  const own = service === undefined ? [] : [service];
  return [...own, ...authorizations, ...routes, ...assertions, ...rateLimits, ...issuers];
}

/** One policy file with every object of `units`, service by service. */
export function renderYaml(units: readonly Unit[]): string {
  return units.flatMap(objectsOf).map(renderObject).join("---\n");
}

/** One document, ending in a newline. What is left out by default is left out here. */
export function renderObject(object: PolicyObject): string {
  return stringify(plainObject(object), { lineWidth: 0, aliasDuplicateObjects: false });
}

/** The same on one line: shorter, for objects that are too long for a file otherwise. */
export function renderObjectShort(object: PolicyObject): string {
  const style = { collectionStyle: "flow", flowCollectionPadding: false } as const;
  return stringify(plainObject(object), { ...style, lineWidth: 0, aliasDuplicateObjects: false });
}

function plainObject(object: PolicyObject): Record<string, unknown> {
  const { kind, name } = object;
  switch (object.kind) {
    case "Service":
      return { kind, name, ...listed("methods", object.methods) };
    case "Authorization":
      return {
        kind,
        name,
        service: object.service,
        ...listed("allow", object.allow.map(plainAccessRule)),
        ...listed("deny", object.deny.map(plainAccessRule)),
      };
    case "Route":
      return { kind, name, service: object.service, ...listed("rules", object.rules.map(plainRouteRule)) };
    case "Assertion": {
      const { claim, from, service, methods } = object;
      return { kind, name, [claim]: { from, to: service, ...listed("methods", methods) } };
    }
    case "RateLimit":
      return { kind, name, service: object.service, ...listed("limits", object.limits.map(plainLimit)) };
    case "JwtIssuer": {
      const { audiences, requiredClaims, forwardClaims } = object;
      const forwarding = forwardClaims === undefined ? {} : { forwardClaims };
      return { kind, name, audiences, ...listed("requiredClaims", requiredClaims), ...forwarding };
    }
  }
}

function plainAccessRule({ from, methods, when }: AuthorizationRule): Record<string, unknown> {
  return { ...listed("from", from), ...listed("methods", methods), ...(when === undefined ? {} : { when }) };
}

function plainLimit(limit: Limit): Record<string, unknown> {
  const { per, methods, burst, costs, scope, disconnected } = limit;
  return {
    ...listed("per", per),
    ...listed("methods", methods),
    rate: renderRate(limit),
    burst,
    ...plainCosts(costs),
    ...(scope === "proxy" ? {} : { scope, disconnected }),
  };
}

function plainCosts(costs: Limit["costs"]): Record<string, unknown> {
  const [first] = costs;
  if (costs.length === 1 && first?.method === "*") return { cost: first.cost };
  const different = [...new Set(costs.map(({ cost }) => cost))];
  const items = different.map((cost) => {
    return { methods: costs.filter((each) => each.cost === cost).map(({ method }) => method), cost };
  });
  return listed("cost", items);
}

function plainRouteRule({ match, split, timeoutMs, staleness }: RouteRule): Record<string, unknown> {
  return {
    ...(match === undefined ? {} : { match: plainMatch(match) }),
    ...listed(
      "split",
      split.map(({ version, weight }) => ({ version, weight })),
    ),
    ...(timeoutMs === 0 ? {} : { timeout: renderDuration(timeoutMs) }),
    ...(staleness && { maxStaleness: renderDuration(staleness.maxMs), onStale: staleness.onStale }),
  };
}

function plainMatch({ methods, headers }: RouteMatch): Record<string, unknown> {
  const named = Object.fromEntries(headers.map(({ name, value }) => [name, value]));
  return { ...listed("methods", methods), ...(headers.length === 0 ? {} : { headers: named }) };
}

function listed(name: string, items: readonly unknown[]): Record<string, unknown> {
  return items.length === 0 ? {} : { [name]: items };
}
