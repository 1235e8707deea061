/** Random routes with every field that a rule can have, and random Resilience, in canonical form. */
import fc from "fast-check";
import { failureCodes } from "../../core/kinds/amounts.js";
import type { Resilience } from "../../core/kinds/resilience/resilience.js";
import { renderTarget } from "../../core/kinds/route/targets.js";
import type { HeaderMatch, Route, RouteRule, WeightedVersion } from "../../core/model.js";

const some = <Item>(items: readonly Item[], minLength: number, maxLength = 3) =>
  fc.uniqueArray(fc.constantFrom(...items), { minLength, maxLength }).map((all) => [...all].sort());
const option = <Value>(arbitrary: fc.Arbitrary<Value>) => fc.option(arbitrary, { nil: undefined });

/** Returns the object without keys whose value is undefined, as canonical policy has it. */
function withoutNone<Value extends object>(value: Value): Value {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Value;
}

export const headerMatch: fc.Arbitrary<HeaderMatch> = fc.constantFrom("x-beta", "x-user", "0").chain((name) =>
  fc.oneof(
    fc.constantFrom("1", "", "eu west").map((value) => ({ name, value })),
    fc.constantFrom("7", "eu").map((value) => ({ name, value, by: "prefix" as const })),
    fc.constant({ name, value: "", by: "present" as const }),
    fc.constant({ name, value: "", by: "absent" as const }),
    some(["1", "", "gold"], 1).map((values) => ({ name, value: "", by: "in" as const, values })),
  ),
);

const headers = fc
  .uniqueArray(headerMatch, { selector: ({ name }) => name, maxLength: 3 })
  .map((all) => [...all].sort((a, b) => (a.name < b.name ? -1 : 1)));

const labels = fc
  .uniqueArray(fc.record({ key: fc.constantFrom("zone", "rack"), value: fc.constantFrom("a", "b", "") }), {
    selector: ({ key }) => key,
    minLength: 1,
    maxLength: 2,
  })
  .map((all) => [...all].sort((a, b) => (a.key < b.key ? -1 : 1)));

const target = fc.oneof(
  fc.constantFrom("v1", "v2", "v3").map((version) => ({ version })),
  fc.record({ version: fc.constantFrom("", "v1"), labels }),
);

const split: fc.Arbitrary<readonly WeightedVersion[]> = fc
  .uniqueArray(
    fc.tuple(target, fc.nat(100)).map(([where, weight]) => ({ ...where, weight })),
    { selector: (each) => JSON.stringify([each.version, "labels" in each ? each.labels : []]), maxLength: 4 },
  )
  .filter((all) => all.length === 0 || all.some(({ weight }) => weight > 0));

const percent = fc.integer({ min: 1, max: 10_000 });
const codes = Object.keys(failureCodes);
const named = fc.record({ name: fc.constantFrom("x-a", "x-b"), value: fc.constantFrom("1", "") });
const changes = fc.record({
  set: option(fc.tuple(named).map((all) => [...all])),
  add: option(fc.constant([{ name: "x-e", value: "1" }])),
  remove: option(some(["x-c", "x-d"], 1)),
});

const ruleParts = fc.record({
  match: option(
    fc.record({
      methods: some(["a.A/One", "a.A/*", "*"], 0),
      headers,
      from: option(some(["cart", "checkout", "*"], 1)),
    }),
  ),
  split,
  timeoutMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 86_400_000 })),
  sticky: option(fc.oneof(fc.constant({ header: "x-user" }), fc.constant({ header: "", caller: true }))),
  whenEmpty: option(fc.constant("fail" as const)),
  retry: option(
    fc.record({
      attempts: fc.integer({ min: 2, max: 5 }),
      on: some(codes, 1),
      backoffMs: fc.integer({ min: 1, max: 1000 }),
      maxBackoffMs: fc.integer({ min: 1000, max: 300_000 }),
      perTryTimeoutMs: fc.nat(300_000),
    }),
  ),
  stale: option(
    fc.record({
      maxStalenessMs: fc.integer({ min: 10_000, max: 86_400_000 }),
      onStale: fc.constantFrom("keep" as const, "fail" as const),
    }),
  ),
  hedge: option(fc.record({ attempts: fc.integer({ min: 2, max: 5 }), delayMs: fc.integer({ min: 1, max: 1000 }) })),
  mirror: option(
    fc
      .tuple(fc.record({ version: fc.constantFrom("", "v9"), labels }), percent)
      .map(([where, share]) => ({ ...where, percent: share })),
  ),
  rewrite: option(fc.constant({ method: "b.B/Two" })),
  headers: option(fc.record({ request: option(changes.map(withoutNone)), response: option(changes.map(withoutNone)) })),
  fault: option(
    fc.record({
      abort: fc.record({ code: fc.constantFrom(...codes), percent }),
      delay: fc.record({ timeMs: fc.integer({ min: 1, max: 3_600_000 }), percent }),
    }),
  ),
});

/** Generates a rule with everything that can be combined without contradiction. */
export const trafficRule: fc.Arbitrary<RouteRule> = ruleParts.map(
  ({ split: targets, sticky, whenEmpty, stale, hedge, ...rest }) => {
    const match = rest.match && withoutNone(rest.match);
    const { mirror } = rest;
    const onlyMirrored =
      mirror !== undefined &&
      targets.filter(({ weight }) => weight > 0).every((each) => renderTarget(each) === renderTarget(mirror));
    const isSplit = targets.length > 0;
    return withoutNone({
      ...rest,
      ...stale,
      hedge: rest.retry === undefined ? hedge : undefined,
      mirror: onlyMirrored ? undefined : mirror,
      match,
      split: targets,
      sticky: isSplit ? sticky : undefined,
      whenEmpty: isSplit ? whenEmpty : undefined,
      headers: rest.headers && withoutNone(rest.headers),
    }) as RouteRule;
  },
);

export const trafficRoute = (service: string): fc.Arbitrary<Route> =>
  fc.record({
    kind: fc.constant("Route" as const),
    name: fc.constant(service),
    service: fc.constant(service),
    rules: fc.array(trafficRule, { maxLength: 4 }),
  });

export const resilience = (service: string): fc.Arbitrary<Resilience> =>
  fc
    .record({
      kind: fc.constant("Resilience" as const),
      name: fc.constant(service),
      service: fc.constant(service),
      balance: option(
        fc.oneof(
          fc.record({
            policy: fc.constantFrom("leastRequest" as const, "roundRobin" as const),
            header: fc.constant(""),
          }),
          fc.constant({ policy: "ringHash" as const, header: "x-user" }),
          fc.constant({ policy: "ringHash" as const, header: "", caller: true }),
        ),
      ),
      locality: option(fc.record({ label: fc.constantFrom("zone", "rack"), spillOver: fc.boolean() })),
      slowStartMs: option(fc.integer({ min: 1000, max: 3_600_000 })),
      subset: option(fc.integer({ min: 1, max: 10_000 })),
      panicBelow: option(fc.integer({ min: 1, max: 10_000 })),
      breaker: option(
        fc
          .record({
            calls: option(fc.integer({ min: 1, max: 1000 })),
            connections: option(fc.integer({ min: 1, max: 1000 })),
            waiting: option(fc.integer({ min: 1, max: 1000 })),
            retries: option(percent),
          })
          .map(withoutNone),
      ),
      health: option(
        fc
          .tuple(
            fc.constantFrom({ grpc: "" }, { grpc: "shop.Store" }, { connect: true }, { off: true }, {}),
            fc.record({
              intervalMs: fc.integer({ min: 100, max: 3_600_000 }),
              timeoutMs: fc.integer({ min: 10, max: 60_000 }),
              unhealthyAfter: fc.integer({ min: 1, max: 100 }),
              healthyAfter: fc.integer({ min: 1, max: 100 }),
            }),
          )
          .map(([way, bounds]) => ({ ...way, ...bounds })),
      ),
      outliers: option(
        fc
          .record({
            successRate: option(percent),
            latencyMs: option(fc.integer({ min: 1, max: 3_600_000 })),
            consecutiveFailures: fc.nat(1000),
            consecutiveTimeouts: fc.nat(1000),
            baseEjectionMs: fc.integer({ min: 100, max: 3_600_000 }),
            maxEjectionMs: fc.integer({ min: 3_600_000, max: 86_400_000 }),
            maxEjected: percent,
          })
          .map(withoutNone),
      ),
    })
    .map(withoutNone) as fc.Arbitrary<Resilience>;
