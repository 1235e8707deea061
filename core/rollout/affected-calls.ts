/**
 * Computes which calls a candidate may decide differently than the base, from the two snapshots alone. The result
 * contains every call whose outcome differs, on the side that decides it, and may contain more. Pure.
 */
import { calleeOf } from "../kinds/callee.js";
import { type AuthorizationRule, meshUnitName, type Route, type RouteRule, type Unit } from "../model.js";
import { serviceOfMethod } from "../snapshot/grammar.js";
import { findGatewayCalls } from "./gateway-calls.js";
import { findJudgedCalls, orAny, sortUnique } from "./judged-calls.js";
import { isSame, keyOf } from "./same-value.js";

/** Affected calls to one service, at the proxies that decide about them. */
export interface AffectedCalls {
  /**
   * Where the calls are decided. "destination": by authorization and limits, at the service's own proxies. "caller": by
   * routes, at the callers' proxies, or by a gateway for the calls that it lets in.
   */
  readonly side: "destination" | "caller";
  /** The service that is called; undefined: every service, for changes in the mesh's own unit. */
  readonly service: string | undefined;
  /** "package.Service/Method", "package.Service/*" or "*"; sorted, not empty. */
  readonly methods: readonly string[];
  /** The services that make such calls; undefined: any service may. */
  readonly callers: readonly string[] | undefined;
  /** True if the base does not have the service: nobody called it, so there are no calls to compare with. */
  readonly isNew: boolean;
}

/** The units of one name in both snapshots; undefined: that snapshot has none. */
export interface UnitPair {
  readonly base: Unit | undefined;
  readonly candidate: Unit | undefined;
}

/** Returns the affected calls, sorted by service, side, callers and methods. `pairs`: the units that differ. */
export function findAffectedCalls(pairs: readonly UnitPair[]): readonly AffectedCalls[] {
  const found = pairs.flatMap(compareUnits);
  const placeOf = ({ service, side, callers, methods }: AffectedCalls): string =>
    [service ?? "", side, callers?.join() ?? "", methods.join()].join("\n");
  return found.sort((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1));
}

function compareUnits(pair: UnitPair): AffectedCalls[] {
  const { base, candidate } = pair;
  const name = (base ?? candidate)?.name;
  if (name === undefined) return [];
  if (name === meshUnitName) {
    // which tokens are accepted is decided wherever calls arrive
    const same = isSame(base?.issuers, candidate?.issuers) && isSame(others(base), others(candidate));
    if (same) return [];
    return [{ side: "destination", service: undefined, methods: ["*"], callers: undefined, isNew: false }];
  }
  const isNew = base === undefined;
  if (base?.gateway !== undefined || candidate?.gateway !== undefined)
    return findGatewayCalls(base?.gateway, candidate?.gateway).map((exposed) => {
      return { side: "caller", ...exposed, callers: [name], isNew };
    });
  const isWhole = isNew || candidate === undefined || !isSame(others(base), others(candidate));
  const common = { service: name, isNew };
  const judged = (callers: readonly string[] | undefined, methods: readonly string[]): AffectedCalls[] =>
    methods.length === 0 ? [] : [judgedCalls({ ...common, callers, methods }, pair)];
  if (isWhole)
    return [...judged(undefined, ["*"]), { ...common, side: "caller", methods: ["*"], callers: callersOf(pair) }];
  const anybody = sortUnique([...limitedMethods(pair), ...statedMethods(pair)]);
  const routed = sortUnique(routedMethods(pair));
  return [
    ...judged(undefined, anybody),
    ...findJudgedCalls(base, candidate).flatMap(({ callers, methods }) => judged(callers, methods)),
    ...(routed.length === 0 ? [] : [{ ...common, side: "caller", methods: routed, callers: callersOf(pair) } as const]),
  ];
}

/**
 * Calls to a service are judged at the service's proxies. Calls to an egress are judged at their callers, because no
 * proxy is at the destination.
 */
function judgedCalls(calls: Omit<AffectedCalls, "side">, pair: UnitPair): AffectedCalls {
  if ((pair.candidate ?? pair.base)?.egress === undefined) return { ...calls, side: "destination" };
  return { ...calls, side: "caller", callers: calls.callers ?? callersOf(pair) };
}

/**
 * The parts of a unit that are compared separately below, or that (assertions, telemetry) do not change the outcome of
 * any call.
 */
type KnownPart =
  | "name"
  | "service"
  | "egress"
  | "authorizations"
  | "routes"
  | "assertions"
  | "rateLimits"
  | "issuers"
  | "telemetry";

/** All other fields of a unit. It is not known which calls they affect, so all calls of the service count. */
function others(unit: Unit | undefined): object {
  const { name, service, egress, authorizations, routes, assertions, rateLimits, issuers, telemetry, ...rest } =
    unit ?? ({} as Unit);
  return rest satisfies Omit<Unit, KnownPart>;
}

/**
 * Returns the methods of the limits that only one of the two units has. Limits are compared as a whole, because methods
 * that share a budget affect each other.
 */
function limitedMethods({ base, candidate }: UnitPair): readonly string[] {
  const partsOf = (unit: Unit | undefined): readonly Judged[] =>
    (unit?.rateLimits ?? []).flatMap(({ limits }) =>
      limits.map((limit) => ({ key: keyOf(limit), methods: limit.methods })),
    );
  return onlyInOne(partsOf(base), partsOf(candidate)).flatMap(({ methods }) => orAny(methods));
}

interface Judged {
  readonly key: string;
  readonly methods: readonly string[];
}

/**
 * Returns the items that only one side has. Equal items count: two limits of the same shape are two budgets, so one
 * side may have more of them.
 */
function onlyInOne(a: readonly Judged[], b: readonly Judged[]): readonly Judged[] {
  const count = new Map<string, number>();
  for (const { key } of a) count.set(key, (count.get(key) ?? 0) + 1);
  for (const { key } of b) count.set(key, (count.get(key) ?? 0) - 1);
  return [...a, ...b].filter(({ key }) => count.get(key) !== 0);
}

/** Returns the methods that only one unit states, since a service that states its methods denies all others. */
function statedMethods({ base, candidate }: UnitPair): readonly string[] {
  const [a, b] = [base, candidate].map((unit) => (unit && calleeOf(unit)?.methods) ?? []) as [
    readonly string[],
    readonly string[],
  ];
  if (isSame(a, b)) return [];
  if (a.length === 0 || b.length === 0) return ["*"];
  return [...a.filter((method) => !b.includes(method)), ...b.filter((method) => !a.includes(method))];
}

/**
 * Returns the methods that the differing route rules are about. The first matching rule counts, so the rules with which
 * both lists begin and end decide equally unless a rule between them matches.
 */
function routedMethods({ base, candidate }: UnitPair): readonly string[] {
  const [a, b] = [rulesOf(base?.routes), rulesOf(candidate?.routes)];
  let from = 0;
  while (from < a.length && from < b.length && isSame(a[from], b[from])) from++;
  let [endA, endB] = [a.length, b.length];
  while (endA > from && endB > from && isSame(a[endA - 1], b[endB - 1])) {
    endA--;
    endB--;
  }
  return [...a.slice(from, endA), ...b.slice(from, endB)].flatMap(({ match }) => orAny(match?.methods ?? []));
}

function rulesOf(routes: readonly Route[] | undefined): readonly RouteRule[] {
  return (routes ?? []).flatMap(({ rules }) => rules);
}

/**
 * Returns the services that either revision lets call, or undefined if a rule names callers other than services of the
 * mesh.
 */
function callersOf({ base, candidate }: UnitPair): readonly string[] | undefined {
  const rules: readonly AuthorizationRule[] = [base, candidate].flatMap((unit) =>
    (unit?.authorizations ?? []).flatMap(({ allow }) => allow),
  );
  const from = rules.flatMap((rule) => rule.from);
  if (from.length === 0 || from.some((name) => !/^[a-z0-9-]+$/.test(name))) return undefined;
  return sortUnique(from);
}

/** Returns whether one of the patterns `methods` matches the method. */
export function namesMethod(methods: readonly string[], method: string): boolean {
  return methods.some((pattern) => pattern === "*" || pattern === method || pattern === `${serviceOfMethod(method)}/*`);
}

/** Returns whether an inbound call is one of the calls that `about` describes. */
export function isJudged(
  about: AffectedCalls,
  {
    service,
    caller,
    method,
  }: { readonly service: string; readonly caller: string | undefined; readonly method: string },
): boolean {
  if (about.side !== "destination" || (about.service !== undefined && about.service !== service)) return false;
  if (about.callers !== undefined && (caller === undefined || !about.callers.includes(caller))) return false;
  return namesMethod(about.methods, method);
}

/** Returns whether proxies of `service` decide about these calls. */
export function isDecidedBy({ side, service: called, callers }: AffectedCalls, service: string): boolean {
  if (side === "destination") return called === undefined || called === service;
  return callers === undefined || callers.includes(service);
}
