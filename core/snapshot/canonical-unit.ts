/** The one form in which a unit has a digest: lists sorted, nothing twice, everything frozen. */

import { isLabel } from "../identity.js";
import {
  type Assertion,
  type Authorization,
  type AuthorizationRule,
  type HeaderMatch,
  meshUnitName,
  type Route,
  type RouteMatch,
  type RouteRule,
  type RouteStaleness,
  type Service,
  type Unit,
  type WeightedVersion,
} from "../model.js";
import { checkCondition } from "../policy/condition/condition.js";
import type { JwtIssuer } from "../token/token-model.js";
import { compareNames, refused, refuseRepeated, textList } from "./canonical-list.js";
import { canonicalRateLimit, whyTooManyLimits } from "./canonical-rate-limit.js";
import {
  isAudience,
  isCaller,
  isClaimName,
  isHeaderValue,
  isMethod,
  isMethodPattern,
  issuerTextsMax,
  isVersion,
  stalenessMsMax,
  stalenessMsMin,
  timeoutMsMax,
  weightMax,
  whyNotMatchable,
} from "./grammar.js";

/**
 * A frozen copy in canonical form. Authorization and route rules keep their order (decisions
 * name them by it, and the first route rule that matches wins); everything else is sorted.
 * Fails with `invalid_policy` on whatever the compile step could not rely on.
 */
export function canonicalUnit(unit: Unit): Unit {
  if (made.has(unit)) return unit;
  const canonical = makeCanonical(unit);
  made.add(canonical);
  return canonical;
}

/** Units that came out of here: frozen, so they are canonical for ever. */
const made = new WeakSet<Unit>();

const noIssuers: readonly JwtIssuer[] = Object.freeze([]);

function makeCanonical(unit: Unit): Unit {
  const { name } = unit;
  if (name === meshUnitName) {
    const { service, authorizations, routes, assertions, rateLimits } = unit;
    if (service !== undefined || [authorizations, routes, assertions, rateLimits].some((part) => part.length > 0))
      throw refused(name, "the unit of the mesh holds policy about a service");
    const none = Object.freeze([]);
    const issuers = canonicalIssuers(unit.issuers);
    return Object.freeze({
      name,
      service: undefined,
      authorizations: none,
      routes: none,
      assertions: none,
      rateLimits: none,
      issuers,
    });
  }
  if (!isLabel(name)) throw refused(name, "a unit is named like its service, by an RFC 1123 label");
  if (unit.service?.name !== name) throw refused(name, "the service it is about is missing or has another name");
  if (unit.issuers.length > 0) throw refused(name, "issuers are in the unit of the mesh");
  if (unit.routes.length > 1) throw refused(name, "a service has at most one route");
  const tooMany = whyTooManyLimits(name, unit.rateLimits);
  if (tooMany !== undefined) throw refused(name, tooMany);
  return Object.freeze({
    name,
    service: canonicalService(unit.service),
    authorizations: namedList(name, "authorization", unit.authorizations, canonicalAuthorization),
    routes: namedList(name, "route", unit.routes, canonicalRoute),
    assertions: namedList(name, "assertion", unit.assertions, canonicalAssertion),
    rateLimits: namedList(name, "rate limit", unit.rateLimits, canonicalRateLimit),
    issuers: noIssuers,
  });
}

function namedList<Item extends { readonly name: string; readonly service: string }>(
  unit: string,
  what: string,
  items: readonly Item[],
  canonical: (item: Item) => Item,
): readonly Item[] {
  for (const item of items) {
    if (!isLabel(item.name)) throw refused(unit, `${what} ${JSON.stringify(item.name.slice(0, 64))}: not a name`);
    if (item.service !== unit) throw refused(unit, `${what} ${item.name} is about another service`);
  }
  const sorted = items.map(canonical).sort((a, b) => compareNames(a.name, b.name));
  refuseRepeated(
    unit,
    `${what}s`,
    sorted.map((item) => item.name),
  );
  return Object.freeze(sorted);
}

function canonicalService(service: Service): Service {
  const methods = textList(service.name, "methods", service.methods, isMethod);
  return Object.freeze({ kind: "Service", name: service.name, methods });
}

function canonicalAuthorization(authorization: Authorization): Authorization {
  const { name, service, allow, deny } = authorization;
  const rule = (what: string, each: AuthorizationRule): AuthorizationRule =>
    Object.freeze({
      from: textList(service, `${what}.from`, each.from, isCaller),
      methods: textList(service, `${what}.methods`, each.methods, isMethodPattern),
      ...canonicalWhen(service, what, each.when),
    });
  if (allow.some((each) => each.from.length === 0)) throw refused(service, `${name}: an allow rule names no callers`);
  return Object.freeze({
    kind: "Authorization",
    name,
    service,
    allow: Object.freeze(allow.map((each, index) => rule(`${name}/allow[${index}]`, each))),
    deny: Object.freeze(deny.map((each, index) => rule(`${name}/deny[${index}]`, each))),
  });
}

/** As it was written; only that nothing but an expression stands in it. */
function canonicalWhen(unit: string, place: string, when: string | undefined): Pick<AuthorizationRule, "when"> {
  if (when === undefined) return {};
  if (when !== when.trim() || when === "") throw refused(unit, `${place}.when: blanks around it, or nothing in it`);
  const [problem] = checkCondition(when);
  if (problem !== undefined)
    throw refused(unit, `${place}.when: at character ${problem.offset + 1}: ${problem.message}`);
  return { when };
}

function canonicalAssertion({ name, service, claim, from, methods }: Assertion): Assertion {
  if (from.length === 0) throw refused(service, `${name}: an assertion names no callers`);
  return Object.freeze({
    kind: "Assertion",
    name,
    service,
    claim,
    from: textList(service, `${name}.from`, from, isCaller),
    methods: textList(service, `${name}.methods`, methods, isMethodPattern),
  });
}

function canonicalIssuers(issuers: readonly JwtIssuer[]): readonly JwtIssuer[] {
  const sorted = issuers.map(canonicalIssuer).sort((a, b) => compareNames(a.name, b.name));
  refuseRepeated(
    meshUnitName,
    "issuers",
    sorted.map(({ name }) => name),
  );
  return Object.freeze(sorted);
}

function canonicalIssuer({ name, audiences, requiredClaims, forwardClaims }: JwtIssuer): JwtIssuer {
  if (!isLabel(name)) throw refused(meshUnitName, `issuer ${JSON.stringify(name.slice(0, 64))}: not a name`);
  const texts = (what: string, items: readonly string[], valid: (text: string) => boolean, min: number) => {
    if (items.length < min || items.length > issuerTextsMax)
      throw refused(meshUnitName, `issuer ${name}: ${items.length} ${what}, not ${min} to ${issuerTextsMax}`);
    return textList(meshUnitName, `issuer ${name}: ${what}`, items, valid);
  };
  return Object.freeze({
    kind: "JwtIssuer",
    name,
    audiences: texts("audiences", audiences, isAudience, 1),
    requiredClaims: texts("required claims", requiredClaims, isClaimName, 0),
    ...(forwardClaims === undefined
      ? {}
      : {
          forwardClaims: Object.freeze({
            to: textList(meshUnitName, `issuer ${name}: services`, forwardClaims.to, isLabel),
            claims: texts("forwarded claims", forwardClaims.claims, isClaimName, 1),
          }),
        }),
  });
}

function canonicalRoute(route: Route): Route {
  const { name, service } = route;
  const rules = route.rules.map((rule, index) => canonicalRouteRule(service, `${name}/rules[${index}]`, rule));
  return Object.freeze({ kind: "Route", name, service, rules: Object.freeze(rules) });
}

function canonicalRouteRule(unit: string, place: string, rule: RouteRule): RouteRule {
  const { timeoutMs } = rule;
  if (!Number.isInteger(timeoutMs) || timeoutMs < 0 || timeoutMs > timeoutMsMax)
    throw refused(unit, `${place}.timeout: ${timeoutMs} ms is not between 0 and ${timeoutMsMax}`);
  return Object.freeze({
    match: canonicalMatch(unit, place, rule.match),
    split: canonicalSplit(unit, place, rule.split),
    timeoutMs,
    ...canonicalStaleness(unit, place, rule.staleness),
  });
}

function canonicalStaleness(
  unit: string,
  place: string,
  staleness: RouteStaleness | undefined,
): Pick<RouteRule, "staleness"> {
  if (staleness === undefined) return {};
  const { maxMs, onStale } = staleness;
  if (!Number.isInteger(maxMs) || maxMs < stalenessMsMin || maxMs > stalenessMsMax)
    throw refused(unit, `${place}.maxStaleness: ${maxMs} ms is not between ${stalenessMsMin} and ${stalenessMsMax}`);
  return { staleness: Object.freeze({ maxMs, onStale }) };
}

/** A match without conditions matches all, and so is none. */
function canonicalMatch(unit: string, place: string, match: RouteMatch | undefined): RouteMatch | undefined {
  if (match === undefined || (match.methods.length === 0 && match.headers.length === 0)) return undefined;
  const headers = match.headers.map((header): HeaderMatch => {
    const why = whyNotMatchable(header.name) ?? (isHeaderValue(header.value) ? undefined : "not a header's value");
    if (why !== undefined) throw refused(unit, `${place}.match.headers: ${why}`);
    return Object.freeze({ name: header.name, value: header.value });
  });
  headers.sort((a, b) => compareNames(a.name, b.name));
  refuseRepeated(
    unit,
    `${place}.match.headers`,
    headers.map((header) => header.name),
  );
  const methods = textList(unit, `${place}.match.methods`, match.methods, isMethodPattern);
  return Object.freeze({ methods, headers: Object.freeze(headers) });
}

function canonicalSplit(unit: string, place: string, split: readonly WeightedVersion[]): readonly WeightedVersion[] {
  let sum = 0;
  const sorted = split.map(({ version, weight }): WeightedVersion => {
    if (!isVersion(version)) throw refused(unit, `${place}.split: not a version`);
    if (!Number.isInteger(weight) || weight < 0 || weight > weightMax)
      throw refused(unit, `${place}.split: ${weight} is not a weight between 0 and ${weightMax}`);
    sum += weight;
    return Object.freeze({ version, weight });
  });
  sorted.sort((a, b) => compareNames(a.version, b.version));
  refuseRepeated(
    unit,
    `${place}.split`,
    sorted.map((each) => each.version),
  );
  if (sorted.length > 0 && sum === 0) throw refused(unit, `${place}.split: the weights have the sum 0`);
  return Object.freeze(sorted);
}
