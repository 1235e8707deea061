/** Random valid policies. They use few names, so that rules overlap. */
import fc from "fast-check";
import type { JwtIssuer } from "../../core/kinds/jwt-issuer/jwt-issuer.js";
import type { Limit, RateLimit } from "../../core/kinds/rate-limit/rate-limit.js";
import type {
  Assertion,
  Authorization,
  AuthorizationRule,
  PolicyObject,
  Route,
  RouteRule,
  Service,
} from "../../core/model.js";
import type { CallInputs } from "../../core/policy/condition/frame.js";
import { egress } from "./egress-arbitrary.js";
import { gateway, withClients } from "./gateway-arbitrary.js";
import { journal } from "./journal-arbitrary.js";
import { shortName } from "./short-name.js";
import { telemetry } from "./telemetry-arbitrary.js";
import { resilience, trafficRoute } from "./traffic-arbitrary.js";

export const mesh = "demo";
export const serviceNames = ["cart", "checkout", "inventory", "payments"] as const;
export const methodNames = ["a.A/One", "a.A/Two", "a.B/One", "b.c.D/Four", "E/Five"] as const;
const patterns = [...methodNames, "a.A/*", "a.B/*", "E/*", "*"];
const outsiders = ["spiffe://other/service/cart", "spiffe://demo/operator/ann", "spiffe://demo/service/checkout"];

export const callerIds = [
  ...serviceNames.map((name) => `spiffe://${mesh}/service/${name}`),
  ...outsiders,
  "spiffe://x/y",
];

const some = <Item>(items: readonly Item[], minLength: number) =>
  fc.uniqueArray(fc.constantFrom(...items), { minLength, maxLength: 3 });

/** The values that conditions with a known meaning can read. */
export interface ConditionedCall {
  readonly caller: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Conditions with their meaning. */
export const conditions: ReadonlyMap<string, (call: ConditionedCall) => boolean | "untold"> = new Map<
  string,
  (call: ConditionedCall) => boolean | "untold"
>([
  ["true", () => true],
  ["1 > 2", () => false],
  ["1 / (1 - 1) == 1", () => "untold"],
  ['request.headers["x-a"] == "1"', ({ headers }) => ("x-a" in headers ? headers["x-a"] === "1" : "untold")],
  ['"x-b" in request.headers', ({ headers }) => "x-b" in headers],
  [
    'caller.service == "cart" || request.headers["x-a"] != "2"',
    ({ caller, headers }) =>
      caller === "spiffe://demo/service/cart" || ("x-a" in headers ? headers["x-a"] !== "2" : "untold"),
  ],
  ['caller.trust_domain == "demo"', ({ caller }) => caller.startsWith("spiffe://demo/")],
  ['request.method.endsWith("/One")', ({ method }) => method.endsWith("/One")],
  [
    'request.service == "a.A" && !has(request.headers.b)',
    ({ method, headers }) => method.startsWith("a.A/") && !("b" in headers),
  ],
  ['source.labels.zone == "a"', () => true],
  ["has(destination.labels.zone)", () => false],
  ['now > timestamp("2026-01-01T00:00:00Z") && source.address == "10.0.0.1"', () => true],
]);

export const headerSets: fc.Arbitrary<Readonly<Record<string, string>>> = fc
  .record(
    { "x-a": fc.constantFrom("1", "2", "1,2"), "x-b": fc.constantFrom("", "1"), b: fc.constant("1") },
    { requiredKeys: [] },
  )
  .map((headers) => ({ ...headers }));

/** Returns the inputs of a call with these headers. */
export function inputsWith(headers: Readonly<Record<string, string>>): CallInputs {
  return {
    header: (name) => headers[name],
    sourceAddress: "10.0.0.1",
    nowMs: Date.UTC(2026, 5, 1),
    claims: undefined,
    sourceLabels: new Map([["zone", "a"]]),
    destinationLabels: new Map(),
  };
}

const when = fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, fc.constantFrom(...conditions.keys()));

const rule = (fromMin: number): fc.Arbitrary<AuthorizationRule> =>
  fc.record({ from: some([...serviceNames, ...outsiders, "*"], fromMin), methods: some(patterns, 0), when });

const authorization: fc.Arbitrary<Authorization> = fc.record({
  kind: fc.constant("Authorization" as const),
  name: shortName,
  service: fc.constantFrom(...serviceNames),
  allow: fc.array(rule(1), { maxLength: 3 }),
  deny: fc.array(rule(0), { maxLength: 2 }),
});

const headers = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom("x-beta", "x-region", "__proto__", "0"),
    value: fc.constantFrom("1", "", "eu west", "true", "~", "#a: b"),
  }),
  { selector: ({ name }) => name, maxLength: 2 },
);

const routeRule: fc.Arbitrary<RouteRule> = fc
  .record({
    match: fc.option(fc.record({ methods: some(patterns, 0), headers }), { nil: undefined }),
    split: fc
      .uniqueArray(fc.record({ version: fc.constantFrom("v1", "v2", "1.0", "2", "null"), weight: fc.nat(100) }), {
        selector: ({ version }) => version,
        maxLength: 3,
      })
      .filter((split) => split.length === 0 || split.some(({ weight }) => weight > 0)),
    timeoutMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 24 * 60 * 60 * 1000 })),
    stale: fc.option(
      fc.record({
        maxStalenessMs: fc.integer({ min: 10_000, max: 24 * 60 * 60 * 1000 }),
        onStale: fc.constantFrom("keep" as const, "fail" as const),
      }),
      { nil: undefined },
    ),
  })
  .map(({ stale, ...rest }) => ({ ...rest, ...stale }));

const route = (service: string): fc.Arbitrary<Route> =>
  fc.record({
    kind: fc.constant("Route" as const),
    name: fc.constant(service),
    service: fc.constant(service),
    rules: fc.array(routeRule, { maxLength: 4 }),
  });

const service = (name: string): fc.Arbitrary<Service> =>
  fc.record({ kind: fc.constant("Service" as const), name: fc.constant(name), methods: some(methodNames, 0) });

/** Generates the service with some of its methods marked. */
function withMarks(about: Service): fc.Arbitrary<Service> {
  const marked = fc.option(some(patterns, 1), { nil: undefined });
  return fc.record({ idempotent: marked, noSideEffects: marked }).map(({ idempotent, noSideEffects }) => ({
    ...about,
    ...(idempotent === undefined ? {} : { idempotent }),
    ...(noSideEffects === undefined ? {} : { noSideEffects }),
  }));
}

/** Generates the policy of a whole mesh with all four services. */
export const policy: fc.Arbitrary<readonly PolicyObject[]> = fc
  .tuple(
    fc.tuple(...serviceNames.map(service)),
    fc.uniqueArray(authorization, { selector: ({ name }) => name, maxLength: 5 }),
    fc.subarray([...serviceNames]).chain((names) => fc.tuple(...names.map(route))),
  )
  .map(([services, authorizations, routes]) => [...services, ...authorizations, ...routes]);

/** Generates assertions about those services. Most of them do not hold. */
export const assertions: fc.Arbitrary<readonly Assertion[]> = fc.uniqueArray(
  fc.record({
    kind: fc.constant("Assertion" as const),
    name: shortName,
    service: fc.constantFrom(...serviceNames),
    claim: fc.constantFrom("never" as const, "always" as const),
    from: some([...serviceNames, ...outsiders, "spiffe://x/y", "*"], 1),
    methods: some(patterns, 0),
  }),
  { selector: ({ name }) => name, maxLength: 4 },
);

const limit: fc.Arbitrary<Limit> = fc
  .record({
    per: some(["caller", "method", "header:x-a", "claim:sub"] as const, 0),
    methods: some(patterns, 0),
    rate: fc.record({ tokens: fc.integer({ min: 1, max: 1000 }), periodMs: fc.constantFrom(1000, 60_000, 3_600_000) }),
    burst: fc.integer({ min: 10, max: 1000 }),
    costs: fc.uniqueArray(fc.record({ method: fc.constantFrom(...patterns), cost: fc.nat(10) }), {
      selector: ({ method }) => method,
      maxLength: 3,
    }),
    disconnected: fc.constantFrom(undefined, "share", "full", "closed"),
  })
  .map(({ disconnected, ...rest }) =>
    disconnected === undefined ? { ...rest, scope: "proxy" } : { ...rest, scope: "mesh", disconnected },
  );

export const rateLimits: fc.Arbitrary<readonly RateLimit[]> = fc.uniqueArray(
  fc.record({
    kind: fc.constant("RateLimit" as const),
    name: shortName,
    service: fc.constantFrom(...serviceNames),
    limits: fc.array(limit, { minLength: 1, maxLength: 3 }),
  }),
  { selector: ({ name }) => name, maxLength: 4 },
);

export const issuers: fc.Arbitrary<readonly JwtIssuer[]> = fc.uniqueArray(
  fc
    .record({
      kind: fc.constant("JwtIssuer" as const),
      name: shortName,
      audiences: some(["shop", "till", "a:b"], 1),
      requiredClaims: some(["sub", "email"], 0),
      to: some(serviceNames, 0),
      claims: some(["sub", "email", "scope"], 1),
    })
    .map(({ to, claims, ...rest }) => (to.length === 0 ? rest : { ...rest, forwardClaims: { to, claims } })),
  { selector: ({ name }) => name, maxLength: 3 },
);

/** Generators by kind. A missing kind does not compile. */
export const objectsByKind: { readonly [Kind in PolicyObject["kind"]]: fc.Arbitrary<readonly PolicyObject[]> } = {
  Service: fc.tuple(...serviceNames.map((name) => service(name).chain(withMarks))),
  Authorization: policy.chain((objects) =>
    fc.tuple(...objects.flatMap((object) => (object.kind === "Authorization" ? [withClients(object)] : []))),
  ),
  Route: fc.subarray([...serviceNames]).chain((names) => fc.tuple(...names.map(trafficRoute))),
  Assertion: assertions,
  RateLimit: rateLimits,
  JwtIssuer: issuers,
  Resilience: fc.subarray([...serviceNames]).chain((names) => fc.tuple(...names.map(resilience))),
  Gateway: fc
    .subarray(["public", "cart"])
    .chain((names) => fc.tuple(...names.map((name) => gateway(name, serviceNames)))),
  Egress: fc.subarray(["cards", "post"]).chain((names) => fc.tuple(...names.map(egress))),
  Journal: fc.subarray([...serviceNames]).chain((names) => fc.tuple(...names.map(journal))),
  Telemetry: fc
    .subarray([...serviceNames, undefined])
    .chain((names) => fc.tuple(...names.map((name) => telemetry(name)))),
};

/** Generates the policy of a whole mesh with objects of every kind. */
export const policyOfEveryKind: fc.Arbitrary<readonly PolicyObject[]> = fc
  .tuple(...Object.values(objectsByKind))
  .map((parts) => parts.flat());

export const accessRule = rule;
