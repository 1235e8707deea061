import type { HeaderMatch, RouteRule, Unit } from "../model.js";
import { serviceOfMethod } from "../snapshot/grammar.js";
import type { CompiledRouteRule, CompiledUnit } from "./compiled-unit.js";

interface Candidate {
  readonly methods: ReadonlySet<string> | undefined;
  readonly headers: readonly HeaderMatch[];
  readonly rule: CompiledRouteRule;
}

const methodsCachedMax = 10_000;
const none: readonly Candidate[] = [];

/** Which rules can apply is found once a method; only their header conditions are looked at call by call. */
export function buildRouteIndex(unit: Unit): Pick<CompiledUnit, "findRoute" | "hasHeaderMatches" | "routeHeaders"> {
  const candidates = unit.routes.flatMap((route) =>
    route.rules.map(
      (rule, index): Candidate => ({
        methods: rule.match && rule.match.methods.length > 0 ? new Set(rule.match.methods) : undefined,
        headers: rule.match?.headers ?? [],
        rule: Object.freeze({
          name: `${route.name}/rules[${index}]`,
          split: rule.split,
          timeoutMs: rule.timeoutMs,
          staleness: stalenessOf(rule),
        }),
      }),
    ),
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
    hasHeaderMatches: candidates.some((each) => each.headers.length > 0),
    findRoute(method, header) {
      for (const { headers, rule } of candidates.length === 0 ? none : candidatesFor(method)) {
        if (headers.length === 0 || headers.every(({ name, value }) => header(name) === value)) return rule;
      }
      return undefined;
    },
    routeHeaders: (method) =>
      [...new Set(candidatesFor(method).flatMap(({ headers }) => headers.map(({ name }) => name)))].sort(),
  };
}

/** The rules that `method` can meet, up to the first that asks for no header: nothing gets past that one. */
function selectCandidates(candidates: readonly Candidate[], method: string): readonly Candidate[] {
  const pattern = `${serviceOfMethod(method)}/*`;
  const found: Candidate[] = [];
  for (const candidate of candidates) {
    const { methods } = candidate;
    if (methods !== undefined && !methods.has(method) && !methods.has(pattern) && !methods.has("*")) continue;
    found.push(candidate);
    if (candidate.headers.length === 0) break;
  }
  return found;
}

function stalenessOf({ maxStalenessMs: maxMs, onStale }: RouteRule): CompiledRouteRule["staleness"] {
  return maxMs === undefined || onStale === undefined ? undefined : Object.freeze({ maxMs, onStale });
}
