/** kind: Route */
import { defineKind, type ObjectWith } from "../kind.js";
import { list } from "../list.js";
import { label } from "../names.js";
import { optional, required } from "../record.js";
import { checkRoute } from "./check-route.js";
import { routeRule } from "./rule.js";

const fields = {
  name: required(1, label, "", "Unique among the routes of the mesh."),
  service: required(2, label, "", "The service whose calls it routes; at most one route a service."),
  rules: optional(3, list(routeRule, { whenEmpty: "" }), [], "Tried in order; the first that matches decides."),
};

/** States where calls to a service go. */
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

export type { Hedge, Retry } from "./attempts.js";
export type { HeaderChanges, RouteFault, RouteHeaders } from "./changes.js";
export type { RouteMatch, Sticky } from "./match.js";
export type { RouteRule } from "./rule.js";
export type { Mirror, WeightedVersion } from "./targets.js";
