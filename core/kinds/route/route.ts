/** kind: Route */
import { stalenessMsMax, stalenessMsMin, timeoutMsMax, weightMax } from "../../snapshot/grammar.js";
import { defineKind, type ObjectWith } from "../kind.js";
import { list } from "../list.js";
import { label, methodPatterns, version } from "../names.js";
import { maybe, optional, type RecordOf, type RecordType, record, required } from "../record.js";
import type { Type } from "../type.js";
import { duration, oneOf, wholeNumber } from "../types.js";
import { checkRoute } from "./check-route.js";
import { headerMatches } from "./header-matches.js";

const matchFields = {
  /** One has to match; sorted. Empty: all. */
  methods: optional(1, methodPatterns, [], "One of them has to match; left out: all."),
  headers: optional(2, headerMatches, [], "Request headers that have to be there with exactly this value."),
};

/** Conditions on a call; all that are given have to hold. */
export interface RouteMatch extends RecordOf<typeof matchFields> {}

/** A match without conditions matches all, and so is none. */
function noneIfEmpty(match: RecordType<RecordOf<typeof matchFields>>): Type<RouteMatch | undefined> {
  const withConditions = <Value extends RouteMatch | undefined>(value: Value): Value | undefined =>
    value === undefined || value.methods.length + value.headers.length === 0 ? undefined : value;
  return {
    ...match,
    shape: {
      ...match.shape,
      read: (node, field, reading) => withConditions(match.shape.read(node, field, reading)),
    },
    canonical: (value) => (value === undefined ? undefined : withConditions(match.canonical(value))),
    render: (value) => value && match.render(value),
  };
}

const weightedVersion = {
  /** The version that the join token of the service's proxies names. */
  version: required(1, version, "", "As in the join token of the service's proxies."),
  weight: required(2, wholeNumber(0, weightMax), 1, "Relative to the other weights."),
};

/** A share of a split. */
export interface WeightedVersion extends RecordOf<typeof weightedVersion> {}

const split = list(record("a version with its weight", weightedVersion), {
  whenEmpty: "leave it out to use every version alike",
  sortBy: (each) => each.version,
  why: (all) =>
    all.length === 0 || all.some((each) => each.weight > 0)
      ? undefined
      : "the weights have the sum 0; give a version some",
});

const rule = {
  match: maybe(1, noneIfEmpty(record("a match", matchFields)), "Which calls it is for; left out: all."),
  /** Versions with their weights. If it is empty, all versions are used alike. */
  split: optional(2, split, [], "Weighted versions; left out: every version alike."),
  /** The longest duration of the whole call in milliseconds; 0: no limit. */
  timeoutMs: optional(
    3,
    duration({
      bounds: "at most 24h",
      msMin: 1,
      msMax: timeoutMsMax,
      whenShort: "leave it out for no timeout",
      zeroIsNone: true,
    }),
    0,
    "Upper bound for the whole call.",
    { name: "timeout" },
  ),
  /**
   * The most milliseconds since the newest freshness statement that the caller's proxy has. If it is left out, age does
   * not matter.
   */
  maxStalenessMs: maybe(
    4,
    duration({
      bounds: "from 10s to 24h",
      msMin: stalenessMsMin,
      msMax: stalenessMsMax,
      whenShort: "statements about the heads of the logs come every 3s, and one may be lost",
    }),
    "So long after the last statement about the heads of the logs the caller's proxy counts as stale.",
    { name: "maxStaleness" },
  ),
  /**
   * What happens to calls if the statement is older: "keep" lets them go on, "fail" answers 14. Set exactly if
   * `maxStalenessMs` is set.
   */
  onStale: maybe(
    5,
    oneOf({ keep: 1, fail: 2 }),
    "What becomes of calls then: fail (the default) answers 14, keep lets them go on.",
  ),
};

/** One line of a route. */
export interface RouteRule extends RecordOf<typeof rule> {}

const routeRule = record("a rule", rule, {
  later: ["retry", "mirror"],
  refine(found, field, reading) {
    const place = reading.places.get(`${field}.onStale`);
    if (place !== undefined && found.maxStalenessMs === undefined && !reading.places.has(`${field}.maxStaleness`))
      reading.report(place, "onStale says what becomes of calls after maxStaleness, which is missing");
    const { onStale = "fail", ...rest } = found;
    return found.maxStalenessMs === undefined ? rest : { ...rest, onStale };
  },
  why: ({ maxStalenessMs, onStale }) =>
    (maxStalenessMs === undefined) === (onStale === undefined) ? undefined : "maxStaleness and onStale go together",
});

const fields = {
  name: required(1, label, "", "Unique among the routes of the mesh."),
  service: required(2, label, "", "The service whose calls it routes; at most one route a service."),
  rules: optional(3, list(routeRule, { whenEmpty: "" }), [], "Tried in order; the first that matches decides."),
};

/** Decides where calls to a service go. */
export interface Route extends ObjectWith<"Route", typeof fields> {}

export const route = defineKind("Route", fields, {
  noun: "route",
  about: "Where calls to a service go. Without one, every healthy version is used alike.",
  page: "policy-route.md",
  unit: "service",
  key: "routes",
  number: 4,
  isOnePerService: true,
  exposes: ({ service }) => service,
  check: checkRoute,
});
