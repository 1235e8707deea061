import { expect, test } from "@jest/globals";
import { whyLive } from "../../../core/journal/live-version.js";
import { unitWith } from "../../../core/kinds/unit.js";
import type { RouteRule } from "../../../core/model.js";

const write = "bank.Ledger/Transfer";
const to = (version: string, weight = 100) => ({ version, weight });
const rule = (of: Partial<RouteRule>): RouteRule => ({ split: [], timeoutMs: 0, ...of });

function why(rules: readonly RouteRule[] | undefined, labels: readonly Readonly<Record<string, string>>[] = [{}]) {
  const unit = unitWith("ledger", {
    routes: rules === undefined ? [] : [{ kind: "Route", name: "r", service: "ledger", rules }],
    journals: [
      {
        ...{ kind: "Journal", name: "j", service: "ledger", methods: [write], mode: "before", response: "bytes" },
        ...{ idempotencyKey: undefined, orderBy: undefined },
      },
    ],
  });
  return whyLive(
    unit,
    "v2",
    labels.map((each) => new Map(Object.entries(each))),
  );
}

const v1 = rule({ split: [to("v1")] });
const match = (of: Partial<NonNullable<RouteRule["match"]>>) => ({ methods: [], headers: [], ...of });
const reads = match({ methods: ["bank.Ledger/Balance"] });

for (const [name, rules, isLive] of [
  ["without a Route", undefined, true],
  ["all calls go to another version", [v1], false],
  ["a rule without a split", [rule({})], true],
  ["a share of the calls", [rule({ split: [to("v1", 99), to("v2", 1)] })], true],
  ["a target of weight 0 gets what spills", [rule({ split: [to("v1"), to("v2", 0)] })], true],
  ["a target of weight 0 that gets nothing", [rule({ split: [to("v1"), to("v2", 0)], whenEmpty: "fail" })], false],
  ["reads alone go there", [rule({ match: reads, split: [to("v2")] }), v1], false],
  ["some callers' writes go there", [rule({ match: match({ from: ["cart"] }), split: [to("v2")] }), v1], true],
  [
    "calls that no rule is for",
    [rule({ match: match({ headers: [{ name: "x-a", value: "1" }] }), split: [to("v1")] })],
    true,
  ],
  [
    "rules behind one that takes all writes",
    [rule({ match: match({ methods: ["bank.Ledger/*"] }), split: [to("v1")] }), rule({})],
    false,
  ],
] as const)
  test(`${name}: ${isLive ? "live" : "not live"}`, () => {
    expect(why(rules as readonly RouteRule[] | undefined) !== undefined).toBe(isLive);
  });

test("a target by labels counts where an instance has them", () => {
  const rules = [rule({ split: [{ version: "", labels: [{ key: "zone", value: "a" }], weight: 1 }] })];
  expect(why(rules, [{ zone: "b" }])).toBeUndefined();
  expect(why(rules, [{ zone: "b" }, { zone: "a" }])).toMatch(/r\/rules\[0\] sends live calls there/);
});
