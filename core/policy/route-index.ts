import { callerId } from "../identity.js";
import type { ReadPlan } from "../journal/read-plan.js";
import { matchesHeader } from "../kinds/route/header-matches.js";
import type { HeaderMatch, RouteRule, Unit } from "../model.js";
import { isOfTarget } from "../route/choose-target.js";
import { serviceOfMethod } from "../snapshot/grammar.js";
import { type CompiledRouteRule, compileReadRule, compileRouteRule } from "./compiled-route.js";
import type { CompiledUnit } from "./compiled-unit.js";

interface Candidate {
  readonly methods: ReadonlySet<string> | undefined;
  readonly headers: readonly HeaderMatch[];
  /** The SPIFFE IDs of the callers; undefined: any caller. */
  readonly from: ReadonlySet<string> | undefined;
  readonly rule: CompiledRouteRule;
  /** The rule for those calls that are reads which a replica answers. */
  readonly reading: CompiledRouteRule | undefined;
}

/** What is known of the calls of one method. */
interface MethodRules {
  readonly candidates: readonly Candidate[];
  /** The headers that decide which rule takes a call. */
  readonly tested: readonly string[];
  /** The same, and those that decide where the call then goes; sorted. */
  readonly headersRead: readonly string[];
}

const methodsCachedMax = 10_000;
const none: MethodRules = { candidates: [], tested: [], headersRead: [] };

/**
 * Builds the index of a unit's route rules. The rules about a method are selected once; for each call only their other
 * conditions are tested.
 */
export function buildRouteIndex(
  unit: Unit,
  mesh: string,
  reads: ReadPlan | undefined,
): Pick<CompiledUnit, "findRoute" | "mirrorsTo" | "routeTests" | "routeHeaders" | "routeLabels" | "hasRewrites"> {
  const candidates = unit.routes.flatMap((route) =>
    route.rules.map((rule, index): Candidate => compileCandidate(rule, `${route.name}/rules[${index}]`, mesh, reads)),
  );
  const unrouted = reads && compileReadRule(undefined, reads);
  const byMethod = new Map<string, MethodRules>();
  const rulesFor = (method: string): MethodRules => {
    if (candidates.length === 0) return none;
    const known = byMethod.get(method);
    if (known !== undefined) return known;
    if (byMethod.size >= methodsCachedMax) byMethod.clear();
    const chosen = selectCandidates(candidates, method);
    const tested = sortUnique(chosen.flatMap(({ headers }) => headers.map(({ name }) => name)));
    const found = { candidates: chosen, tested, headersRead: sortUnique(chosen.flatMap(headersRead)) };
    byMethod.set(method, found);
    return found;
  };
  return {
    findRoute(method, header, caller) {
      for (const { headers, from, rule, reading } of rulesFor(method).candidates) {
        if (from !== undefined && !from.has(caller)) continue;
        if (areMatched(headers, header)) return reads?.isRead(rule.rewrite ?? method) === true ? reading : rule;
      }
      return reads?.isRead(method) === true ? unrouted : undefined;
    },
    mirrorsTo(place, method, caller) {
      return candidates.some((candidate) => {
        const { from, rule } = candidate;
        if (rule.mirror === undefined || !isOfTarget(rule.mirror, place)) return false;
        return (from === undefined || from.has(caller)) && (rule.rewrite === method || isFor(candidate, method));
      });
    },
    routeTests: (method) => rulesFor(method).tested,
    routeHeaders: (method) => rulesFor(method).headersRead,
    routeLabels: sortUnique([
      ...candidates.flatMap(({ rule }) => rule.labelKeys),
      ...(reads?.replica.labels ?? []).map(({ key }) => key),
    ]),
    hasRewrites: candidates.some(({ rule }) => rule.rewrite !== undefined),
  };
}

function compileCandidate(rule: RouteRule, name: string, mesh: string, reads: ReadPlan | undefined): Candidate {
  const { methods = [], headers = [], from = [] } = rule.match ?? {};
  const compiled = compileRouteRule(rule, name);
  return {
    methods: methods.length > 0 ? new Set(methods) : undefined,
    headers,
    from: from.length === 0 || from.includes("*") ? undefined : new Set(from.map((caller) => callerId(mesh, caller))),
    rule: compiled,
    reading: reads && compileReadRule(compiled, reads),
  };
}

/** Whether a call's headers pass all tests. A loop, since it runs for each call. */
function areMatched(tests: readonly HeaderMatch[], header: (name: string) => string | undefined): boolean {
  for (const test of tests) if (!matchesHeader(test, header(test.name))) return false;
  return true;
}

/** Returns the headers that decide whether a rule takes a call, or where the call then goes. */
function headersRead({ headers, rule: { sticky } }: Candidate): readonly string[] {
  const matched = headers.map(({ name }) => name);
  return typeof sticky === "string" ? [...matched, sticky] : matched;
}

function sortUnique(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].sort();
}

function isFor({ methods }: Candidate, method: string): boolean {
  return (
    methods === undefined || methods.has(method) || methods.has(`${serviceOfMethod(method)}/*`) || methods.has("*")
  );
}

/**
 * Returns the rules about `method`, up to the first that has no other condition, because that rule takes every call.
 */
function selectCandidates(candidates: readonly Candidate[], method: string): readonly Candidate[] {
  const found: Candidate[] = [];
  for (const candidate of candidates) {
    if (!isFor(candidate, method)) continue;
    const { headers, from } = candidate;
    found.push(candidate);
    if (headers.length === 0 && from === undefined) break;
  }
  return found;
}
