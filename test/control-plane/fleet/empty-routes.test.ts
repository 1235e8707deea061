import { expect, test } from "@jest/globals";
import { directlyRead, emptyRoutes, routedTargets } from "../../../control-plane/fleet/empty-routes.js";
import { unitWith } from "../../../core/kinds/unit.js";
import type { Route, RouteRule, Unit } from "../../../core/model.js";
import type { PlacedEndpoint } from "../../../core/route/choose-target.js";
import { parsePolicyFiles } from "../../../core/snapshot/parse-files.js";

const rule = (...split: RouteRule["split"]): RouteRule => ({ match: undefined, split, timeoutMs: 0 });
const unit = (name: string, ...rules: RouteRule[]): Unit => {
  const route: Route = { kind: "Route", name: `${name}-route`, service: name, rules };
  return unitWith(name, { routes: [route] });
};
const v1 = { version: "v1", weight: 1 };
const v2 = { version: "v2", weight: 9 };
const placed = (version: string, zone?: string): PlacedEndpoint => ({
  version,
  labels: zone === undefined ? [] : [{ key: "zone", value: zone }],
});
const served = (...versions: string[]) => new Map([["payments", versions.map((version) => placed(version))]]);
const problems = (routes: Unit, there: ReadonlyMap<string, readonly PlacedEndpoint[]>) =>
  emptyRoutes(routedTargets([routes]), there);

test("a rule whose only version has no instance is a problem that names the rule and the version", () => {
  expect(problems(unit("payments", rule(v1), rule(v2)), served("v1"))).toEqual([
    {
      code: "route-without-instance",
      subject: "payments v2",
      message:
        "route payments-route/rules[1]: payments has no healthy instance of version v2, so its calls are answered 14; healthy instances are of v1",
    },
  ]);
});

test("a rule whose versions are served is none, and neither is one without a split", () => {
  expect(problems(unit("payments", rule(v1, v2), rule()), served("v1", "v2"))).toEqual([]);
});

test("where a version of several is not served, it says what becomes of its share", () => {
  const [spills] = problems(unit("payments", rule(v1, v2)), served("v2"));
  expect(spills).toMatchObject({ code: "version-without-instance", subject: "payments v1" });
  expect(spills?.message).toMatch(/of version v1, so that share of its calls goes to the others; healthy .* v2$/);
  const [fails] = problems(unit("payments", { ...rule(v1, v2), whenEmpty: "fail" }), served("v2"));
  expect(fails?.message).toMatch(/so that share of its calls is answered 14/);
});

test("a target by labels is served by an instance that has them", () => {
  const inZone = { version: "", labels: [{ key: "zone", value: "a" }], weight: 1 };
  const there = (zone: string) => new Map([["payments", [placed("v1", zone)]]]);
  expect(problems(unit("payments", rule(inZone)), there("a"))).toEqual([]);
  expect(problems(unit("payments", rule(inZone)), there("b"))[0]?.message).toMatch(/of version zone=a, so its calls/);
});

test("a version of weight 0 gets no calls, so that it is served does not help", () => {
  const [problem] = problems(unit("payments", rule({ ...v1, weight: 0 }, v2)), served("v1"));
  expect(problem?.subject).toBe("payments v2");
});

test("a mirror whose target has no instance is a problem, with a split or without", () => {
  const mirrored = { ...rule(), mirror: { version: "v3", percent: 500 } };
  expect(problems(unit("payments", mirrored), served("v1"))).toEqual([
    {
      code: "mirror-without-instance",
      subject: "payments v3",
      message:
        "route payments-route/rules[0]: payments has no healthy instance of version v3, so no copies of calls go there; healthy instances are of v1",
    },
  ]);
  expect(problems(unit("payments", mirrored), served("v1", "v3"))).toEqual([]);
});

test("a service without any instance is said to have none", () => {
  const [problem] = problems(unit("payments", rule(v1, v2)), new Map());
  expect(problem?.message).toMatch(/instance of versions v1, v2, .*; it has no healthy instance at all$/);
});

test("many are counted behind the first twenty", () => {
  const found = problems(unit("payments", ...Array.from({ length: 30 }, () => rule(v2))), new Map());
  expect([found.length, found.at(-1)?.message]).toEqual([21, "… and 10 routes more like the last"]);
});

test("direct reads have no replica that could be missing or say nothing, and their services are known", () => {
  const content = "{ kind: Journal, name: books, service: payments, mode: before, response: bytes, reads: direct }";
  const journals = parsePolicyFiles([{ name: "p.yaml", content }])
    .objects.map(({ object }) => object)
    .filter((object) => object.kind === "Journal");
  const reads = unitWith("payments", { journals });
  expect([problems(reads, served()), problems(reads, served("v1"))]).toEqual([[], []]);
  expect(directlyRead([unitWith("orders", {}), reads])).toEqual(["payments"]);
});

test("reads whose replica is not there, or does not report what it has applied, are a problem", () => {
  const objects = parsePolicyFiles([
    {
      name: "p.yaml",
      content: `{ kind: Journal, name: books, service: payments, mode: before, response: bytes, reads: { replica: { version: v2 } } }`,
    },
  ]).objects.map(({ object }) => object);
  const journals = objects.filter((object) => object.kind === "Journal");
  const reads = unitWith("payments", { journals });
  expect(problems(reads, served("v1"))).toEqual([
    {
      code: "replica-without-instance",
      subject: "payments v2",
      message:
        "journal books/reads: payments has no healthy instance of version v2, so reads go to the primary; healthy instances are of v1",
    },
  ]);
  const there = (reportsApplied: boolean) =>
    new Map([["payments", [{ ...placed("v2"), instance: "copy-1", ...(reportsApplied && { reportsApplied }) }]]]);
  expect(problems(reads, there(true))).toEqual([]);
  expect(problems(reads, there(false))).toMatchObject([{ code: "replica-silent", subject: "copy-1" }]);
});
