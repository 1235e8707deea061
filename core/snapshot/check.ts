import { gatewayNameIn, isWorkload, trustDomainOf, workloadIn } from "../identity.js";
import { type Callee, isIdempotent } from "../kinds/callee.js";
import type { Checked, KnownEndpoint, PolicyChecker, PolicyContext, RoutedTo } from "../kinds/checker.js";
import { matchesAll } from "../kinds/route/check-route.js";
import { kindOf, kinds } from "../kinds/table.js";
import type { Finding, PolicyObject, WeightedVersion } from "../model.js";
import { isOfTarget } from "../route/choose-target.js";
import { checkUnits } from "./check-units.js";
import { findSpiffeId, serviceOfMethod } from "./grammar.js";
import { renderNearest } from "./nearest.js";
import type { SourcedObject } from "./sourced-object.js";

export type { PolicyContext } from "../kinds/checker.js";

interface CheckedService {
  readonly service: Callee;
  /** The methods that the service states. */
  readonly stated: ReadonlySet<string>;
}

/** What is known while the objects of one policy are checked. */
interface Checking {
  readonly context: PolicyContext;
  readonly services: ReadonlyMap<string, CheckedService>;
  /** The names of the JwtIssuers. */
  readonly issuers: ReadonlySet<string>;
  readonly gateways: ReadonlySet<string>;
  /** The Routes, by service. */
  readonly routes: ReadonlyMap<string, readonly RoutedTo[]>;
  /** The callers that rules allow something, by service called. */
  readonly allowed: ReadonlyMap<string, ReadonlySet<string>>;
  readonly findings: Finding[];
  /**
   * Returns what `renderNearest` returns. After many calls it returns "", because each search passes over all names.
   */
  nearest(text: string, names: () => Iterable<string>): string;
}

const findingsMax = 1000;
const searchesMax = 100;

/**
 * Checks objects against each other and the fleet. Returns all findings and throws none. Errors: policy about or from a
 * service that does not exist, methods that a service does not state, policy of a service that is too large, assertions
 * that do not hold. Warnings: versions without instances, issuers without keys, rules that read tokens where no issuer
 * is stated, rules that no call reaches, services that nobody may call.
 */
export function checkPolicy(objects: readonly SourcedObject[], context: PolicyContext): Finding[] {
  const services = new Map<string, CheckedService>();
  for (const { object } of objects) {
    if (object.kind === "Service" || object.kind === "Egress")
      services.set(object.name, { service: object, stated: new Set(object.methods) });
  }
  let searches = 0;
  const nearest: Checking["nearest"] = (text, names) => {
    searches += 1;
    return searches > searchesMax ? "" : renderNearest(text, names());
  };
  const checking: Checking = {
    context,
    services,
    issuers: namesOf(objects, "JwtIssuer"),
    gateways: namesOf(objects, "Gateway"),
    routes: routedTo(objects),
    allowed: allowedCallers(objects),
    findings: [],
    nearest,
  };
  const checked = objects.map(
    (sourced): Checked<PolicyObject> => ({ object: sourced.object, checker: new ObjectChecker(sourced, checking) }),
  );
  for (const { object, checker } of checked) kindOf(object).check?.(object, checker);
  for (const kind of kinds) kind.checkAll?.(checked.filter(({ object }) => object.kind === kind.kind));
  warnUncallable(checked);
  if (objects.every((sourced) => sourced.whole) && checking.findings.every(({ severity }) => severity !== "error"))
    checkUnits(objects, context.mesh, (sourced, place, message) =>
      new ObjectChecker(sourced, checking).error(place, message),
    );
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

class ObjectChecker implements PolicyChecker {
  readonly context: PolicyContext;
  readonly hasIssuers: boolean;
  readonly whole: boolean;
  readonly nearest: Checking["nearest"];
  readonly #sourced: SourcedObject;
  readonly #checking: Checking;

  constructor(sourced: SourcedObject, checking: Checking) {
    this.context = checking.context;
    this.hasIssuers = checking.issuers.size > 0;
    this.whole = sourced.whole;
    this.nearest = checking.nearest;
    this.#sourced = sourced;
    this.#checking = checking;
  }

  error(place: string, message: string): void {
    this.#add("error", place, message);
  }

  warn(place: string, message: string): void {
    this.#add("warning", place, message);
  }

  isStated(place: string): boolean {
    return this.#sourced.places.has(place);
  }

  service(name: string, place: string): boolean {
    if (name === "") return false;
    if (this.#checking.services.has(name)) return true;
    this.#missingService(name, place);
    return false;
  }

  callers(callers: readonly string[], place: string): void {
    for (const from of callers) {
      const name = isWorkload(from) ? from : workloadOfId(from, this.context.mesh);
      if (name === undefined) continue;
      const gateway = gatewayNameIn(name);
      if (gateway !== undefined) this.#gateway(gateway, `${place}.from=${from}`);
      else if (!this.#checking.services.has(name)) this.#missingService(name, `${place}.from=${from}`);
      else if (this.isOutside(name))
        this.error(`${place}.from=${from}`, `${name} is an Egress: it is called, and calls nobody`);
    }
  }

  isOutside(name: string): boolean {
    return this.#checking.services.get(name)?.service.kind === "Egress";
  }

  issuer(name: string, place: string): void {
    const { issuers } = this.#checking;
    if (issuers.has(name)) return;
    this.error(place, `there is no JwtIssuer ${JSON.stringify(name)}${this.nearest(name, () => issuers)}`);
  }

  mayCall(caller: string, service: string): boolean {
    const callers = this.#checking.allowed.get(service);
    return callers !== undefined && (callers.has("*") || callers.has(caller));
  }

  methods(service: string, methods: readonly string[], place: string): void {
    const stated = this.#checking.services.get(service)?.stated;
    if (stated === undefined || stated.size === 0) return;
    if (methods.every((method) => method === "*" || stated.has(method))) return;
    const rpcServices = new Set([...stated].map(serviceOfMethod));
    for (const method of methods) {
      if (method === "*" || stated.has(method)) continue;
      if (method.endsWith("/*") && rpcServices.has(serviceOfMethod(method))) continue;
      const candidates = (): Iterable<string> =>
        method.endsWith("/*") ? [...rpcServices].map((name) => `${name}/*`) : stated;
      const nearest = this.nearest(method, candidates);
      const what = this.isOutside(service) ? "egress" : "service";
      const message = `${what} ${service} states its methods, and ${JSON.stringify(method)} is none of them${nearest}`;
      this.error(`${place}=${method}`, message);
    }
  }

  notIdempotent(name: string, methods: readonly string[]): readonly string[] {
    const { service, stated } = this.#checking.services.get(name) ?? {};
    if (service === undefined) return [];
    const expanded = methods.flatMap((pattern) => {
      if (!pattern.endsWith("*") || stated === undefined || stated.size === 0) return [pattern];
      return [...stated].filter((method) => pattern === "*" || `${serviceOfMethod(method)}/*` === pattern);
    });
    return expanded.filter((method) => !isIdempotent(service, method));
  }

  noSideEffects(name: string): readonly string[] {
    return this.#checking.services.get(name)?.service.noSideEffects ?? [];
  }

  routeRules(service: string): readonly RoutedTo[] {
    return this.#checking.routes.get(service) ?? [];
  }

  endpoints(
    service: string,
    target: Pick<WeightedVersion, "version" | "labels">,
  ): readonly KnownEndpoint[] | undefined {
    const { knownEndpoints } = this.context;
    return knownEndpoints && (knownEndpoints.get(service) ?? []).filter((endpoint) => isOfTarget(target, endpoint));
  }

  #gateway(name: string, place: string): void {
    const { gateways } = this.#checking;
    if (gateways.has(name)) return;
    this.error(place, `there is no gateway ${JSON.stringify(name)}${this.nearest(name, () => gateways)}`);
  }

  #missingService(name: string, place: string): void {
    const nearest = this.nearest(name, () => this.#checking.services.keys());
    const remedy = " in this policy: state it as a Service"; // the files are the whole policy, which newcomers miss
    this.error(place, `there is no service ${JSON.stringify(name)}${nearest === "" ? remedy : nearest}`);
  }

  #add(severity: Finding["severity"], place: string, message: string): void {
    const { file, places } = this.#sourced;
    const stated = place.split("=", 1)[0] ?? ""; // a text within a field has at least the place of the field
    const { line, column, field } = places.get(place) ?? places.get(stated) ?? { ...this.#sourced, field: stated };
    this.#checking.findings.push({ severity, file, line, column, field, message });
  }
}

function namesOf(objects: readonly SourcedObject[], kind: PolicyObject["kind"]): ReadonlySet<string> {
  return new Set(objects.flatMap(({ object }) => (object.kind === kind ? [object.name] : [])));
}

function routedTo(objects: readonly SourcedObject[]): ReadonlyMap<string, readonly RoutedTo[]> {
  return new Map(
    objects.flatMap(({ object }) => {
      if (object.kind !== "Route") return [];
      const rules = object.rules.map(({ split, match, retry, ...more }, index) => ({
        place: `rules[${index}] of Route ${object.name}`,
        split,
        isForAll: matchesAll(match),
        perTryTimeoutMs: retry?.perTryTimeoutMs ?? 0,
        does: Object.entries({ retry, ...more }).flatMap(([name, value]) =>
          value === undefined || value === 0 ? [] : [name.replace(/Ms$/, "")],
        ),
      }));
      return [[object.service, rules] as const];
    }),
  );
}

function allowedCallers(objects: readonly SourcedObject[]): ReadonlyMap<string, ReadonlySet<string>> {
  const allowed = new Map<string, Set<string>>();
  for (const { object } of objects) {
    if (object.kind !== "Authorization") continue;
    const callers = allowed.get(object.service) ?? new Set();
    for (const { from } of object.allow) for (const caller of from) callers.add(caller);
    allowed.set(object.service, callers);
  }
  return allowed;
}

/** Returns the service or gateway of this mesh that a SPIFFE ID names. IDs of other meshes cannot be checked here. */
function workloadOfId(text: string, mesh: string): string | undefined {
  const id = findSpiffeId(text);
  return id === undefined || trustDomainOf(id) !== mesh ? undefined : workloadIn(id, mesh);
}

/**
 * Warns of a service that states methods, or that other objects expose, and that no rule lets anybody call. A service
 * that neither states methods nor is exposed is taken for a mere client.
 */
function warnUncallable(objects: readonly Checked<PolicyObject>[]): void {
  const allowed = new Set<string>();
  const exposed = new Set<string | undefined>();
  for (const { object, checker } of objects) {
    exposed.add(kindOf(object).exposes?.(object));
    if (object.kind === "Authorization" && (object.allow.length > 0 || !checker.whole)) allowed.add(object.service);
  }
  for (const { object, checker } of objects) {
    const { kind, name } = object;
    if ((kind !== "Service" && kind !== "Egress") || allowed.has(name) || !exposed.has(name)) continue;
    checker.warn("name", `nobody may call ${name}: no Authorization allows it`);
  }
}
