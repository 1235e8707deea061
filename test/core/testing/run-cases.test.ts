import { describe, expect, test } from "@jest/globals";
import { unitsOf } from "../../../core/snapshot/build.js";
import { parsePolicyFiles } from "../../../core/snapshot/parse-files.js";
import { parseCases } from "../../../core/testing/parse-cases.js";
import { runCases } from "../../../core/testing/run-cases.js";

const rules = `
  - { from: [cart], methods: [p.P/Charge], when: 'request.headers.region == "eu"' }
  - { from: [cart], methods: [p.P/List], when: 'source.address == "10.0.0.1" && destination.labels.zone == "a"' }
  - { from: ["*"], methods: [p.P/Old], when: 'now < timestamp("2026-01-01T00:00:00Z")' }
  - { from: ["*"], methods: [p.P/Own], when: 'caller.trust_domain == "demo"' }
  - { from: [cart], methods: [p.P/Near], when: 'source.labels.zone == destination.labels.zone' }
`;
const policy = `kind: Service\nname: cart\n---\nkind: Service\nname: payments\n---\nkind: Authorization\nname: a\nservice: payments\nallow:${rules}`;
const units = unitsOf(parsePolicyFiles([{ name: "p.yaml", content: policy }]).objects.map(({ object }) => object));
const nowMs = Date.UTC(2026, 5, 1);

function parse(content: string) {
  const { cases, findings } = parseCases([{ name: "p.test.yaml", content }], ["cart", "payments"]);
  return {
    cases,
    findings: findings.map(({ line, column, field, message }) => `${line}:${column} ${field} ${message}`),
  };
}

/** Runs one case that is written as a flow map. */
function run(fields: string) {
  const { cases, findings } = parse(`cases: [{ name: n, ${fields} }]`);
  expect(findings).toEqual([]);
  return runCases(units, cases, "demo", nowMs).map(({ passed, decision }) => [passed, decision.rule])[0];
}

describe("cases", () => {
  test("are judged with headers, address, labels and time", () => {
    const charge = "caller: cart, call: payments/p.P/Charge";
    expect(run(`${charge}, headers: { region: eu }, allowed: true`)).toEqual([true, "a/allow[0]"]);
    expect(run(`${charge}, headers: { region: us }, allowed: true`)).toEqual([false, "default-deny"]);
    expect(run(`${charge}, allowed: false`)).toEqual([true, "default-deny"]);
    const from = "caller: cart, call: payments/p.P/List, sourceAddress: 10.0.0.1";
    expect(run(`${from}, labels: { zone: a }, allowed: true`)).toEqual([true, "a/allow[1]"]);
    expect(run(`${from}, allowed: false`)).toEqual([true, "default-deny"]);
    const near = "caller: cart, call: payments/p.P/Near, labels: { zone: a }";
    expect(run(`${near}, sourceLabels: { zone: a }, allowed: true`)?.[0]).toBe(true);
    expect(run(`${near}, sourceLabels: { zone: b }, allowed: false`)?.[0]).toBe(true);
    expect(run(`${near}, allowed: false`)?.[0]).toBe(true);
    const old = "caller: spiffe://x/y, call: payments/p.P/Old";
    expect(run(`${old}, time: 2025-12-31T23:59:59Z, allowed: true`)).toEqual([true, "a/allow[2]"]);
    expect(run(`${old}, time: 2026-01-01T00:00:00Z, allowed: false`)).toEqual([true, "default-deny"]);
    expect(run(`${old}, allowed: false`)).toEqual([true, "default-deny"]);
  });

  test("take services for those of the mesh that is named", () => {
    const own = "call: payments/p.P/Own, allowed: true";
    expect(run(`caller: cart, ${own}`)).toEqual([true, "a/allow[3]"]);
    expect(run(`caller: spiffe://demo/service/cart, ${own}`)).toEqual([true, "a/allow[3]"]);
    expect(run(`caller: spiffe://other/service/cart, ${own}`)).toEqual([false, "default-deny"]);
  });

  test("fail where another rule decides than the one that is named", () => {
    const charge = "caller: cart, call: payments/p.P/Charge, headers: { region: eu }, allowed: true";
    expect(run(`${charge}, rule: "a/allow[0]"`)).toEqual([true, "a/allow[0]"]);
    expect(run(`${charge}, rule: "a/allow[1]"`)).toEqual([false, "a/allow[0]"]);
  });

  test("are refused at their place where something is wrong in them", () => {
    const content = `cases:
  - { name: a, caller: crat, call: payments/p.P/Charge, allowed: false }
  - { name: a, caller: Cart, call: p.P/Charge, allowed: maybe, claims: 7, alowed: true }
  - { caller: cart, call: paymnts/p.P/Charge, time: noon, headers: { X: 1 } }
`;
    expect(parse(content).findings).toEqual([
      '3:24 cases[1].caller expected a service\'s name or a SPIFFE ID in full, found "Cart"',
      '3:36 cases[1].call expected SERVICE/package.Service/Method, found "p.P/Charge"',
      '3:57 cases[1].allowed expected true or false, found "maybe"',
      "3:72 cases[1].claims expected claims with their values, found number 7",
      expect.stringMatching(/^3:75 cases\[1\].alowed unknown field .* did you mean "allowed"\?$/),
      '3:5 cases[1] "a" is in the list twice',
      '4:53 cases[2].time expected a time such as 2026-01-31T09:30:00Z, found "noon"',
      '4:70 cases[2].headers header "X" cannot be matched: header names are lower case: "x"',
      '4:5 cases[2].name "name" is missing: expected a line of text',
      '4:5 cases[2].allowed "allowed" is missing: expected true or false',
      '2:24 cases[0].caller there is no service "crat"; did you mean "cart"?',
      '4:27 cases[2].call there is no service "paymnts"; did you mean "payments"?',
    ]);
    expect(parse("tests: []").findings).toHaveLength(2);
    expect(parse("- a").findings).toEqual(["1:1  expected policy tests, found a list"]);
    expect(parse("cases: [").findings.length).toBeGreaterThan(0);
    expect(parse("# nothing\n")).toEqual({ cases: [], findings: [] });
  });
});
