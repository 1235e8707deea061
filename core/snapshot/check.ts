import { isLabel, nameIn, trustDomainOf } from "../identity.js";
import type { RateLimit } from "../limit/limit-model.js";
import type { Authorization, AuthorizationRule, Finding, Route } from "../model.js";
import { parseCondition } from "../policy/condition/condition.js";
import type { JwtIssuer } from "../token/token-model.js";
import { checkUnits } from "./check-units.js";
import { findSpiffeId, serviceOfMethod } from "./grammar.js";
import { limitsMax } from "./limit-grammar.js";
import { renderNearest } from "./nearest.js";
import type { SourcedObject } from "./parse-files.js";

/** What policy is checked against. */
export interface PolicyContext {
  readonly mesh: string;
  /** Versions that the fleet has, by service; undefined: not known, so nothing is said about versions. */
  readonly knownVersions?: ReadonlyMap<string, ReadonlySet<string>> | undefined;
  /** Issuers that the trust log has keys of; undefined: not known, so nothing is said about keys. */
  readonly knownIssuers?: ReadonlySet<string> | undefined;
}

/** What the rules of one object are checked with. */
interface Checking {
  readonly context: PolicyContext;
  readonly services: ReadonlyMap<string, ReadonlySet<string>>;
  readonly hasIssuers: boolean;
  readonly findings: Finding[];
  /** What renderNearest says, as long as there is not much to say it about: a search costs a pass over the names. */
  nearest(text: string, names: () => Iterable<string>): string;
}

const findingsMax = 1000;
const searchesMax = 100;

/**
 * Checks objects against each other and the fleet; returns all findings, throws none. Errors: policy about or
 * from a service that does not exist, methods that a service does not state, policy of a service that is too
 * large, assertions that do not hold. Warnings: versions that nobody has, issuers without keys, rules that read tokens
 * where no issuer is, rules that nothing reaches, services that nobody may call.
 */
export function checkPolicy(objects: readonly SourcedObject[], context: PolicyContext): Finding[] {
  const services = new Map<string, ReadonlySet<string>>();
  for (const { object } of objects) {
    if (object.kind === "Service") services.set(object.name, new Set(object.methods));
  }
  let searches = 0;
  const nearest: Checking["nearest"] = (text, names) => {
    searches += 1;
    return searches > searchesMax ? "" : renderNearest(text, names());
  };
  const hasIssuers = objects.some(({ object }) => object.kind === "JwtIssuer");
  const checking: Checking = { context, services, hasIssuers, findings: [], nearest };
  for (const sourced of objects) checkObject(sourced, checking);
  countLimits(objects, checking);
  warnUncallable(objects, checking);
  if (objects.every((sourced) => sourced.whole) && checking.findings.every(({ severity }) => severity !== "error"))
    checkUnits(objects, context.mesh, (sourced, key, message) => add(sourced, "error", key, message, checking));
  return limitFindings(checking.findings);
}

function limitFindings(findings: readonly Finding[]): Finding[] {
  const errorsFirst =
    findings.length <= findingsMax
      ? findings
      : [
          ...findings.filter(({ severity }) => severity === "error"),
          ...findings.filter(({ severity }) => severity === "warning"),
        ];
  const more = findings.length - findingsMax;
  if (more <= 0) return [...findings];
  const kept = errorsFirst.slice(0, findingsMax);
  const severity = kept[0]?.severity ?? "warning";
  return [
    ...kept,
    { severity, file: "", line: 0, column: 0, field: "", message: `${more} more findings are not shown` },
  ];
}

function checkObject(sourced: SourcedObject, checking: Checking): void {
  const { object } = sourced;
  switch (object.kind) {
    case "Service":
      return;
    case "Authorization":
      if (!checkService(sourced, object.service, checking)) return;
      for (const effect of ["allow", "deny"] as const) {
        for (const [index, rule] of object[effect].entries())
          checkAccessRule(sourced, object, rule, `${effect}[${index}]`, checking);
      }
      return;
    case "Route":
      if (!checkService(sourced, object.service, checking)) return;
      checkRoute(sourced, object, checking);
      return;
    case "Assertion":
      if (!checkService(sourced, object.service, checking, `${object.claim}.to`)) return;
      checkCallers(sourced, object.from, object.claim, checking);
      checkMethods(sourced, object.service, object.methods, `${object.claim}.methods`, checking);
      return;
    case "RateLimit":
      if (!checkService(sourced, object.service, checking)) return;
      checkRateLimit(sourced, object, checking);
      return;
    case "JwtIssuer":
      checkIssuer(sourced, object, checking);
      return;
  }
}

function add(sourced: SourcedObject, severity: Finding["severity"], key: string, message: string, checking: Checking) {
  const { line, column, field } = sourced.places.get(key) ?? { ...sourced, field: key.split("=", 1)[0] ?? "" };
  checking.findings.push({ severity, file: sourced.file, line, column, field, message });
}

/** Whether the service of a policy exists; the field was reported already if it is no name at all. */
function checkService(sourced: SourcedObject, service: string, checking: Checking, field = "service"): boolean {
  if (service === "") return false;
  if (checking.services.has(service)) return true;
  const nearest = checking.nearest(service, () => checking.services.keys());
  add(sourced, "error", field, `there is no service ${JSON.stringify(service)}${nearest}`, checking);
  return false;
}

function checkAccessRule(
  sourced: SourcedObject,
  { service }: Authorization,
  rule: AuthorizationRule,
  place: string,
  checking: Checking,
): void {
  checkCallers(sourced, rule.from, place, checking);
  checkMethods(sourced, service, rule.methods, `${place}.methods`, checking);
  if (checking.hasIssuers || rule.when === undefined || !parseCondition(rule.when).readsToken) return;
  const message = "it reads a token, and no JwtIssuer says whose tokens are taken, so none ever is; add one";
  add(sourced, "warning", `${place}.when`, message, checking);
}

function checkIssuer(sourced: SourcedObject, { name, forwardClaims }: JwtIssuer, checking: Checking): void {
  for (const service of forwardClaims?.to ?? []) {
    if (service === "" || checking.services.has(service)) continue;
    const nearest = checking.nearest(service, () => checking.services.keys());
    const message = `there is no service ${JSON.stringify(service)}${nearest}`;
    add(sourced, "error", `forwardClaims.to=${service}`, message, checking);
  }
  const known = checking.context.knownIssuers;
  if (known === undefined || known.has(name)) return;
  const remedy = `ashlar issuer set ${name} --issuer URL --jwks FILE|URL`;
  const nearest = checking.nearest(name, () => known);
  add(
    sourced,
    "warning",
    "name",
    `the mesh has no keys of ${name}, so its tokens are refused: ${remedy}${nearest}`,
    checking,
  );
}

function checkCallers(sourced: SourcedObject, callers: readonly string[], place: string, checking: Checking): void {
  for (const from of callers) {
    const name = isLabel(from) ? from : serviceOfId(from, checking.context.mesh);
    if (name === undefined || checking.services.has(name)) continue;
    const nearest = checking.nearest(name, () => checking.services.keys());
    add(sourced, "error", `${place}.from=${from}`, `there is no service ${JSON.stringify(name)}${nearest}`, checking);
  }
}

/** The service that a SPIFFE ID of this mesh names; IDs of other meshes are for others to know. */
function serviceOfId(text: string, mesh: string): string | undefined {
  const id = findSpiffeId(text);
  return id === undefined || trustDomainOf(id) !== mesh ? undefined : nameIn(id, mesh, "service");
}

function checkMethods(
  sourced: SourcedObject,
  service: string,
  methods: readonly string[],
  place: string,
  checking: Checking,
): void {
  const stated = checking.services.get(service);
  if (stated === undefined || stated.size === 0) return;
  if (methods.every((method) => method === "*" || stated.has(method))) return;
  const rpcServices = new Set([...stated].map(serviceOfMethod));
  for (const method of methods) {
    if (method === "*" || stated.has(method)) continue;
    if (method.endsWith("/*") && rpcServices.has(serviceOfMethod(method))) continue;
    const candidates = (): Iterable<string> =>
      method.endsWith("/*") ? [...rpcServices].map((name) => `${name}/*`) : stated;
    const nearest = checking.nearest(method, candidates);
    const message = `service ${service} states its methods, and ${JSON.stringify(method)} is none of them${nearest}`;
    add(sourced, "error", `${place}=${method}`, message, checking);
  }
}

function checkRoute(sourced: SourcedObject, { service, rules }: Route, checking: Checking): void {
  const versions = checking.context.knownVersions;
  const known = versions?.get(service) ?? new Set<string>();
  let catchAll: number | undefined;
  let reported = false;
  for (const [index, { match, split }] of rules.entries()) {
    const place = `rules[${index}]`;
    checkMethods(sourced, service, match?.methods ?? [], `${place}.match.methods`, checking);
    for (const { version, weight } of versions === undefined ? [] : split) {
      if (version === "" || weight === 0 || known.has(version)) continue;
      const nearest = checking.nearest(version, () => known);
      const message = `no endpoint of ${service} has version ${JSON.stringify(version)} now${nearest}`;
      add(sourced, "warning", `${place}.split=${version}`, message, checking);
    }
    if (catchAll !== undefined && !reported && sourced.whole) {
      reported = true;
      add(sourced, "warning", place, `never reached: rules[${catchAll}] takes every call before it`, checking);
    }
    const all = match === undefined || (match.headers.length === 0 && match.methods.includes("*"));
    if (all) catchAll ??= index;
  }
}

function checkRateLimit(sourced: SourcedObject, { service, limits }: RateLimit, checking: Checking): void {
  for (const [index, { methods, costs }] of limits.entries()) {
    const place = `limits[${index}]`;
    checkMethods(sourced, service, methods, `${place}.methods`, checking);
    for (const { method } of costs) {
      const items = costs.map((_, item) => `${place}.cost[${item}].methods`);
      const at = items.find((each) => sourced.places.has(`${each}=${method}`)) ?? `${place}.cost`;
      checkMethods(sourced, service, [method], at, checking);
    }
  }
}

/** Limits of one service in several objects: each call is held against all of them. */
function countLimits(objects: readonly SourcedObject[], checking: Checking): void {
  const counts = new Map<string, number>();
  for (const sourced of objects) {
    const { object } = sourced;
    if (object.kind !== "RateLimit") continue;
    const before = counts.get(object.service) ?? 0;
    const count = before + object.limits.length;
    counts.set(object.service, count);
    if (before > limitsMax || count <= limitsMax || object.limits.length > limitsMax) continue;
    const message = `${object.service} has ${count} limits with these, at most ${limitsMax} over all its RateLimits`;
    add(sourced, "error", "limits", message, checking);
  }
}

/**
 * A service that states methods, or is spoken about, and that no rule lets anybody call. One that neither
 * states methods nor is spoken about is taken for a mere client.
 */
function warnUncallable(objects: readonly SourcedObject[], checking: Checking): void {
  const allowed = new Set<string>();
  const spokenAbout = new Set<string>();
  for (const { object, whole } of objects) {
    if (object.kind === "Service") {
      if (object.methods.length > 0) spokenAbout.add(object.name);
      continue;
    }
    if (object.kind === "Assertion" || object.kind === "JwtIssuer") continue; // an assertion may say that nobody calls
    spokenAbout.add(object.service);
    if (object.kind === "Authorization" && (object.allow.length > 0 || !whole)) allowed.add(object.service);
  }
  for (const sourced of objects) {
    const { kind, name } = sourced.object;
    if (kind !== "Service" || allowed.has(name) || !spokenAbout.has(name)) continue;
    add(sourced, "warning", "name", `nobody may call ${name}: no Authorization allows it`, checking);
  }
}
