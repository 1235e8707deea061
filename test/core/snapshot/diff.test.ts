import { describe, expect, test } from "@jest/globals";
import { parseAllDocuments } from "yaml";
import type { PolicyObject, Unit } from "../../../core/model.js";
import { buildSnapshot, unitsOf } from "../../../core/snapshot/build.js";
import { diffUnits } from "../../../core/snapshot/diff.js";
import { diffAccess } from "../../../core/snapshot/matrix.js";
import { renderJson, renderYaml } from "../../../core/snapshot/render.js";
import { policySchema } from "../../../core/snapshot/schema.js";
import { diffLines } from "../../../core/snapshot/text-diff.js";
import { accessMatrix } from "../../support/access-matrix.js";

const services: PolicyObject[] = [
  { kind: "Service", name: "checkout", methods: [] },
  { kind: "Service", name: "payments", methods: ["p.P/Charge", "p.P/Refund"] },
];

function policy(from: string, methods: string[]): PolicyObject[] {
  const allow = [{ from: [from], methods }];
  return [...services, { kind: "Authorization", name: "a", service: "payments", allow, deny: [] }];
}

describe("diffs", () => {
  const before = unitsOf(policy("checkout", ["p.P/*"]));
  const after = unitsOf(policy("checkout", ["p.P/Charge"]));

  test("show an object that changed, line by line", () => {
    expect(diffUnits(before, after).objects).toEqual([
      {
        change: "changed",
        kind: "Authorization",
        name: "a",
        lines: [
          " kind: Authorization",
          " name: a",
          " service: payments",
          " allow:",
          "   - from:",
          "       - checkout",
          "     methods:",
          "-      - p.P/*",
          "+      - p.P/Charge",
        ],
      },
    ]);
  });

  test("show objects that come and go", () => {
    const { objects } = diffUnits(before, unitsOf(services));
    expect(objects.map(({ change, kind, name }) => [change, kind, name])).toEqual([["removed", "Authorization", "a"]]);
    expect(objects[0]?.lines.every((line) => line.startsWith("-"))).toBe(true);
    expect(diffUnits([], unitsOf(services)).objects.map(({ change }) => change)).toEqual(["added", "added"]);
  });

  test("name each caller and method that gains or loses access", () => {
    expect(diffAccess(before, after, "demo")).toEqual({
      complete: true,
      pairs: [
        {
          caller: "checkout",
          service: "payments",
          method: "p.P/Refund",
          change: "loses",
          before: "allowed",
          after: "denied",
        },
      ],
    });
    const everyone = diffAccess(after, unitsOf(policy("*", ["p.P/Charge"])), "demo").pairs;
    expect(everyone.map(({ caller, change }) => `${caller} ${change}`)).toEqual(["payments gains", "* gains"]);
  });

  test("name the condition under which access is gained, lost or changed", () => {
    const under = (
      when: string | undefined,
      extra: readonly { from: string[]; methods: string[]; when: string }[] = [],
    ) =>
      unitsOf([
        ...services,
        {
          kind: "Authorization",
          name: "a",
          service: "payments",
          allow: [{ from: ["checkout"], methods: ["p.P/Charge"], when }],
          deny: extra,
        },
      ]);
    const changes = (from: readonly Unit[], to: readonly Unit[]) =>
      diffAccess(from, to, "demo").pairs.map(({ caller, change, before, after }) => [caller, change, before, after]);
    const [eu, us] = ['request.headers.region == "eu"', 'request.headers.region == "us"'];
    const deny = [{ from: [], methods: [], when: '"x-debug" in request.headers' }];
    expect(changes(unitsOf(services), under(eu))).toEqual([["checkout", "gains", "denied", eu]]);
    expect(changes(under(eu), under(us))).toEqual([["checkout", "changes", eu, us]]);
    expect(changes(under(eu), under(undefined))).toEqual([["checkout", "gains", eu, "allowed"]]);
    expect(changes(under(undefined), under(eu))).toEqual([["checkout", "loses", "allowed", eu]]);
    expect(changes(under(eu), unitsOf(services))).toEqual([["checkout", "loses", eu, "denied"]]);
    expect(changes(under(eu), under(eu, deny))).toEqual([
      ["checkout", "changes", eu, `(${eu}) && !("x-debug" in request.headers)`],
    ]);
  });

  test("leave a condition on the caller open where a row stands for every other caller", () => {
    const when = 'caller.trust_domain == "partner"';
    const allow = [{ from: ["*"], methods: ["p.P/Charge"], when }];
    const after = unitsOf([...services, { kind: "Authorization", name: "a", service: "payments", allow, deny: [] }]);
    expect(accessMatrix(after, "demo").pairs).toEqual([
      { caller: "*", service: "payments", method: "p.P/Charge", when },
    ]);
  });

  test("take a pair for allowed where a rule without a condition stands behind one with a condition", () => {
    const allow = [
      { from: ["checkout"], methods: ["p.P/Charge"], when: "now > now" },
      { from: ["checkout"], methods: ["p.P/Charge"] },
    ];
    const both = unitsOf([...services, { kind: "Authorization", name: "a", service: "payments", allow, deny: [] }]);
    expect(diffAccess(after, both, "demo").pairs).toEqual([]);
    expect(diffAccess(unitsOf(services), both, "demo").pairs).toMatchObject([{ change: "gains", after: "allowed" }]);
  });

  test("of lines keep what both have", () => {
    expect(diffLines("a\nb\nc\n", "a\nc\nd\n")).toEqual([" a", "-b", " c", "+d"]);
    expect(diffLines("", "a\n")).toEqual(["+a"]);
    expect(diffLines("a\n", "a\n")).toEqual([" a"]);
  });
});

describe("snapshots", () => {
  test("of no policy hold the unit of the mesh and nothing else", () => {
    const { list, units } = buildSnapshot([]);
    expect(units.map(({ unit }) => unit.name)).toEqual(["@mesh"]);
    expect(list.units).toHaveLength(1);
  });

  test("cannot be changed", () => {
    const { list, units } = buildSnapshot(policy("checkout", []));
    expect([list, list.units, list.units[0], units, units[0], units[0]?.unit].every(Object.isFrozen)).toBe(true);
  });

  test("are not built of policy about a service that does not exist, or of names that are there twice", () => {
    expect(() => buildSnapshot(policy("checkout", []).slice(1, 3).slice(1))).toThrow(/missing/);
    expect(() => buildSnapshot([...services, ...services])).toThrow(/twice/);
  });

  test("render texts so that they stay texts", () => {
    const rules = [
      {
        match: { methods: [], headers: [{ name: "x", value: "1" }] },
        split: [{ version: "1.0", weight: 1 }],
        timeoutMs: 90_000,
      },
    ];
    const units = unitsOf([...services, { kind: "Route", name: "r", service: "payments", rules }]);
    const yaml = renderYaml(units);
    expect(JSON.parse(renderJson(units))).toEqual(parseAllDocuments(yaml).map((document) => document.toJS()));
    expect(yaml).toContain('x: "1"');
    expect(yaml).toContain('version: "1.0"');
    expect(yaml).toContain("timeout: 90s");
  });
});

describe("policySchema", () => {
  test("describes each kind, and lets no other field be", () => {
    const schema = policySchema() as {
      oneOf: { additionalProperties: boolean; required: string[]; properties: object }[];
    };
    expect(schema.oneOf.map(({ required, additionalProperties }) => [required, additionalProperties])).toEqual([
      [["kind", "name"], false],
      [["kind", "name", "service"], false],
      [["kind", "name", "service"], false],
      [["kind", "name"], false],
      [["kind", "name", "service", "limits"], false],
      [["kind", "name", "audiences"], false],
      [["kind", "name", "service"], false],
      [["kind", "name", "listeners"], false],
      [["kind", "name", "methods"], false],
      [["kind", "name", "service", "mode", "response"], false],
      [["kind", "name"], false],
      [["kind", "name", "methods"], false],
    ]);
    expect(Object.keys(schema.oneOf[2]?.properties ?? {})).toEqual(["kind", "name", "service", "rules"]);
    expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
  });
});
