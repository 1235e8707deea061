import { callerId } from "../identity.js";
import { matchesHeader } from "../kinds/route/header-matches.js";
import type { HeaderMatch, RouteRule, Unit } from "../model.js";
import { serviceOfMethod } from "../snapshot/grammar.js";
import { type CompiledRouteRule, compileRouteRule } from "./compiled-route.js";
import type { CompiledUnit } from "./compiled-unit.js";

interface Candidate {
  readonly methods: ReadonlySet<string> | undefined;
  readonly headers: readonly HeaderMatch[];
  /** SPIFFE IDs of callers; undefined: any. */
  readonly from: ReadonlySet<string> | undefined;
  readonly rule: CompiledRouteRule;
}

const methodsCachedMax = 10_000;
const none: readonly Candidate[] = [];

/** Which rules can apply is found once a method; only their other conditions are looked at call by call. */
export function buildRouteIndex(
  unit: Unit,
  mesh: string,
): Pick<CompiledUnit, "findRoute" | "routeHeaders" | "routeLabels" | "hasRewrites"> {
  const candidates = unit.routes.flatMap((route) =>
    route.rules.map((rule, index): Candidate => compileCandidate(rule, `${route.name}/rules[${index}]`, mesh)),
  );
  const byMethod = new Map<string, readonly Candidate[]>();
  const candidatesFor = (method: string): readonly Candidate[] => {
    const known = byMethod.get(method);
    if (known !== undefined) return known;
    if (byMethod.size >= methodsCachedMax) byMethod.clear();
    const found = selectCandidates(candidates, method);
    byMethod.set(method, found);
    return found;
  };
  return {
    findRoute(method, header, caller) {
      for (const { headers, from, rule } of candidates.length === 0 ? none : candidatesFor(method)) {
        if (from !== undefined && !from.has(caller)) continue;
        if (headers.length === 0 || headers.every((match) => matchesHeader(match, header(match.name)))) return rule;
      }
      return undefined;
    },
    routeHeaders: (method) => sortUnique(candidatesFor(method).flatMap(headersRead)),
    routeLabels: sortUnique(candidates.flatMap(({ rule }) => rule.labelKeys)),
    hasRewrites: candidates.some(({ rule }) => rule.rewrite !== undefined),
  };
}

function compileCandidate(rule: RouteRule, name: string, mesh: string): Candidate {
  const { methods = [], headers = [], from = [] } = rule.match ?? {};
  return {
    methods: methods.length > 0 ? new Set(methods) : undefined,
    headers,
    from: from.length === 0 || from.includes("*") ? undefined : new Set(from.map((caller) => callerId(mesh, caller))),
    rule: compileRouteRule(rule, name),
  };
}

/** Headers that decide whether a call is the rule's, or where it goes then. */
function headersRead({ headers, rule: { sticky } }: Candidate): readonly string[] {
  const matched = headers.map(({ name }) => name);
  return typeof sticky === "string" ? [...matched, sticky] : matched;
}

function sortUnique(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].sort();
}

/** The rules that `method` can meet, up to the first that asks for nothing else: no call gets past that one. */
function selectCandidates(candidates: readonly Candidate[], method: string): readonly Candidate[] {
  const pattern = `${serviceOfMethod(method)}/*`;
  const found: Candidate[] = [];
  for (const candidate of candidates) {
    const { methods, headers, from } = candidate;
    if (methods !== undefined && !methods.has(method) && !methods.has(pattern) && !methods.has("*")) continue;
    found.push(candidate);
    if (headers.length === 0 && from === undefined) break;
  }
  return found;
}
