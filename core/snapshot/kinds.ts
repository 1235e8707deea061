/** The kinds of policy files and their fields. The parser and the editors' schema both come from here. */
import type { AuthorizationRule, HeaderMatch, PolicyObject, RouteMatch, RouteRule, WeightedVersion } from "../model.js";
import { assertion } from "./assertion-shape.js";
import { condition } from "./condition-shape.js";
import { durationPattern, parseDurationMs } from "./duration.js";
import {
  isHeaderValue,
  isVersion,
  stalenessMsMax,
  stalenessMsMin,
  timeoutMsMax,
  weightMax,
  whyNotMatchable,
} from "./grammar.js";
import { jwtIssuer } from "./issuer-shape.js";
import { callers, fine, itself, kindOf, label, methodPatterns, statedMethod } from "./name-shapes.js";
import { rateLimit } from "./rate-limit-shape.js";
import { converted, entries, list, optional, record, required, type Shape, text, wholeNumber } from "./shapes.js";

const version = text("a version: 1 to 63 of A-Z, a-z, 0-9, dot, _ and -", "^[A-Za-z0-9._-]{1,63}$", fine(isVersion));
const headerValue = text("a header's value", "^([!-~]([ -~]*[!-~])?)?$", fine(isHeaderValue));
const timeout = converted(
  text("a duration of at most 24h, such as 2s or 500ms", durationPattern, (value) => {
    const durationMs = parseDurationMs(value);
    if (durationMs === 0) return "leave it out for no timeout";
    return durationMs === undefined || durationMs > timeoutMsMax ? "" : undefined;
  }),
  (value) => parseDurationMs(value) ?? 0,
);

const methods = optional(methodPatterns, [], "Methods; left out: all.");
const when = optional(condition, undefined, "A condition in CEL on the call; left out: none.");
const denyRule = record<Required<AuthorizationRule>>("a rule", {
  from: optional(callers, [], "Callers; left out: any."),
  methods,
  when,
});
const allowRule = record<Required<AuthorizationRule>>("a rule", {
  from: required(callers, [], "Callers."),
  methods,
  when,
});

const match = record<{ methods: readonly string[]; headers: readonly (readonly [string, string])[] }>("a match", {
  methods: optional(methodPatterns, [], "One of them has to match; left out: all."),
  headers: optional(
    entries(headerValue, "headers with their exact values", "^[a-z0-9_.-]{1,128}$", whyNotMatchable),
    [],
    "Request headers that have to be there with exactly this value.",
  ),
});
const routeMatch: Shape<RouteMatch | undefined> = {
  ...match,
  read(node, field, reading) {
    const found = match.read(node, field, reading);
    if (found === undefined || found.methods.length + found.headers.length === 0) return undefined;
    const headers = found.headers.map(([name, value]): HeaderMatch => ({ name, value }));
    return { methods: found.methods, headers };
  },
};
const weightedVersion = record<WeightedVersion>("a version with its weight", {
  version: required(version, "", "As in the join token of the service's proxies."),
  weight: required(wholeNumber(0, weightMax), 1, "Relative to the other weights."),
});
const split = list(weightedVersion, {
  whenEmpty: "leave it out to use every version alike",
  keyOf: (each) => each.version,
  why: (all) => (all.some((each) => each.weight > 0) ? undefined : "the weights have the sum 0; give a version some"),
});
const maxStaleness = converted(
  text("a duration from 10s to 24h, such as 30s", durationPattern, (value) => {
    const durationMs = parseDurationMs(value);
    if (durationMs === undefined) return "";
    if (durationMs < stalenessMsMin) return "statements about the heads of the logs come every 3s, and one may be lost";
    return durationMs > stalenessMsMax ? "" : undefined;
  }),
  (value) => parseDurationMs(value) ?? 0,
);
const onStale = text('"keep" or "fail"', "^(keep|fail)$", (value) => (/^(keep|fail)$/.test(value) ? undefined : ""));
const plainRouteRule = record<{
  match: RouteMatch | undefined;
  split: readonly WeightedVersion[];
  timeout: number;
  maxStaleness: number;
  onStale: string;
}>(
  "a rule",
  {
    match: optional(routeMatch, undefined, "Which calls it is for; left out: all."),
    split: optional(split, [], "Weighted versions; left out: every version alike."),
    timeout: optional(timeout, 0, "Upper bound for the whole call."),
    maxStaleness: optional(
      maxStaleness,
      0,
      "So long after the last statement about the heads of the logs the caller's proxy counts as stale.",
    ),
    onStale: optional(onStale, "", "What becomes of calls then: fail (the default) answers 14, keep lets them go on."),
  },
  ["retry", "mirror"],
);
const routeRule: Shape<RouteRule> = {
  ...plainRouteRule,
  read(node, field, reading) {
    const found = plainRouteRule.read(node, field, reading);
    if (found === undefined) return undefined;
    const { match, split, timeout: timeoutMs, maxStaleness: maxMs } = found;
    const place = reading.places.get(`${field}.onStale`);
    if (place !== undefined && maxMs === 0 && !reading.places.has(`${field}.maxStaleness`))
      reading.report(place, "onStale says what becomes of calls after maxStaleness, which is missing");
    const staleness = { maxMs, onStale: found.onStale === "keep" ? ("keep" as const) : ("fail" as const) };
    return { match, split, timeoutMs, ...(maxMs === 0 ? {} : { staleness }) };
  },
};

const service = record("a Service", {
  kind: kindOf("Service"),
  name: required(label, "", "Unique in the mesh."),
  methods: optional(
    list(statedMethod, { whenEmpty: "leave it out if the methods are not stated", keyOf: itself }),
    [],
    'All methods of the service; "package.Service/*": those of its descriptor. Calls of others are denied; left out: not stated.',
  ),
});
const authorization = record("an Authorization", {
  kind: kindOf("Authorization"),
  name: required(label, "", "Unique among the authorizations of the mesh; decisions name it."),
  service: required(label, "", "The service it protects."),
  allow: optional(list(allowRule, { whenEmpty: "" }), [], "Calls that match one of these are allowed."),
  deny: optional(list(denyRule, { whenEmpty: "" }), [], "Calls that match one of these are denied; deny wins."),
});
const route = record("a Route", {
  kind: kindOf("Route"),
  name: required(label, "", "Unique among the routes of the mesh."),
  service: required(label, "", "The service whose calls it routes; at most one route a service."),
  rules: optional(list(routeRule, { whenEmpty: "" }), [], "Tried in order; the first that matches decides."),
});

const toObject = <Value>(shape: Shape<Value>, build: (value: Value) => PolicyObject): Shape<PolicyObject> => ({
  ...shape,
  read(node, field, reading) {
    const value = shape.read(node, field, reading);
    return value === undefined ? undefined : build(value);
  },
});

/** How each kind is written. */
export const kinds: Readonly<Record<PolicyObject["kind"], Shape<PolicyObject>>> = {
  Service: toObject(service, ({ name, methods }) => ({ kind: "Service", name, methods })),
  Authorization: toObject(authorization, ({ name, service, allow, deny }) => ({
    kind: "Authorization",
    name,
    service,
    allow,
    deny,
  })),
  Route: toObject(route, ({ name, service, rules }) => ({
    kind: "Route",
    name,
    service,
    rules,
  })),
  Assertion: assertion,
  RateLimit: rateLimit,
  JwtIssuer: jwtIssuer,
};

/** Kinds that are planned: refused, so that nobody believes they were in force. */
export const laterKinds = ["Resilience", "Gateway", "Egress", "Journal"] as const;
