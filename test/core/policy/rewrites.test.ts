/** Callers that a rewrite would shut out, and rules whose rewrite depends on headers. */
import { expect, test } from "@jest/globals";
import { compileUnit } from "../../../core/policy/compile.js";
import { headerRewrites, lostByRewrites } from "../../../core/policy/rewrites.js";
import { unitsOf } from "../../../core/snapshot/build.js";
import { parsePolicyFiles } from "../../../core/snapshot/parse-files.js";

const old = "shop.Payments/Charge";
const moved = "shop.v2.Payments/Charge";

function unitOf(rules: string) {
  const content = `kind: Service
name: payments
methods: [${old}, ${moved}]
---
kind: Authorization
name: calls
service: payments
allow: [{ from: [old], methods: [${old}] }, { from: [both], methods: ["*"] }]
---
kind: Route
name: payments
service: payments
rules: ${rules}
`;
  const { objects, findings } = parsePolicyFiles([{ name: "policy.yaml", content }]);
  expect(findings.filter(({ severity }) => severity === "error")).toEqual([]);
  const unit = unitsOf(objects.map(({ object }) => object)).find(({ name }) => name === "payments");
  if (unit === undefined) throw new Error("no unit");
  return unit;
}

function lost(rules: string): readonly string[] {
  const unit = unitOf(rules);
  return lostByRewrites(unit, compileUnit(unit, "demo"), "demo").map(({ rule, caller }) => `${rule} ${caller}`);
}

const rewrite = `rewrite: { method: ${moved} }`;

test.each([
  ["every call", `[{ ${rewrite} }]`, ["0 old"]],
  ["calls with a header", `[{ match: { headers: { x-beta: "1" } }, ${rewrite} }, {}]`, ["0 old"]],
  [
    "any of several",
    `[{ match: { headers: { x-a: { in: [b, c] }, x-d: { prefix: e }, x-f: { present: true } } }, ${rewrite} }, {}]`,
    ["0 old"],
  ],
  ["calls without a header", `[{ match: { headers: { x-a: { absent: true } } }, ${rewrite} }, {}]`, ["0 old"]],
  ["calls of others alone", `[{ match: { from: [both] }, ${rewrite} }, {}]`, []],
  ["what an earlier rule leaves", `[{ match: { from: [old] } }, { ${rewrite} }]`, []],
  [
    "what one with the same headers leaves",
    `[{ match: { from: [old], headers: { x-a: { present: true } } } }, { match: { headers: { x-a: b } }, ${rewrite} }, {}]`,
    [],
  ],
])("a rewrite of %s shuts out whom it reaches, and nobody else", (_what, rules, expected) => {
  expect(lost(rules)).toEqual(expected);
});

test("rules whose rewrite depends on headers are told for the methods that they are for", () => {
  const unit = unitOf(`[{ match: { methods: [${old}], headers: { x-beta: "1" } }, ${rewrite} }, { ${rewrite} }]`);
  const told = { rule: "payments/rules[0]", headers: ["x-beta"], after: moved };
  expect([headerRewrites(unit, old), headerRewrites(unit, "shop.Payments/Refund")]).toEqual([[told], []]);
});
