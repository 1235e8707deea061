import { describe, expect, test } from "@jest/globals";
import { checkPolicy, type PolicyContext } from "../../../core/snapshot/check.js";
import { parsePolicyFiles } from "../../../core/snapshot/parse-files.js";

const shop = "kind: Service\nname: checkout\n---\nkind: Service\nname: payments\nmethods: [p.P/Charge]\n";

function check(content: string, context: Partial<PolicyContext> = {}): string[] {
  const { objects } = parsePolicyFiles([{ name: "policy.yaml", content: `${shop}---\n${content}` }]);
  const findings = checkPolicy(objects, { mesh: "demo", ...context });
  return findings.map(
    ({ severity, line, column, field, message }) => `${severity} ${line}:${column} ${field}: ${message}`,
  );
}

const allow = (rule: string) => `kind: Authorization\nname: a\nservice: payments\nallow: [${rule}]\n`;
const route = (rules: string) =>
  `${allow('{ from: ["*"] }')}---\nkind: Route\nname: r\nservice: payments\nrules: ${rules}\n`;

describe("checkPolicy", () => {
  test("has nothing to say about policy that fits together", () => {
    expect(check(allow("{ from: [checkout], methods: [p.P/Charge, p.P/*] }"))).toEqual([]);
  });

  test("takes SPIFFE IDs of other meshes and roles as they are, and services of this mesh by name", () => {
    const others = "spiffe://other/service/x, spiffe://demo/operator/ann, spiffe://demo/service/checkout";
    expect(check(allow(`{ from: [${others}] }`))).toEqual([]);
    expect(check(allow("{ from: [spiffe://demo/service/chekout] }"))).toEqual([
      'error 11:18 allow[0].from[0]: there is no service "chekout"; did you mean "checkout"?',
    ]);
  });

  test("says nothing about versions if the fleet is not known, and nothing about versions that get no calls", () => {
    const rules = "[{ split: [{ version: v1, weight: 1 }, { version: v2, weight: 0 }] }]";
    expect(check(route(rules))).toEqual([]);
    const knownVersions = new Map([["payments", new Set(["v1"])]]);
    expect(check(route(rules), { knownVersions })).toEqual([]);
    expect(check(route(rules), { knownVersions: new Map() })).toEqual([
      'warning 16:19 rules[0].split[0]: no endpoint of payments has version "v1" now',
    ]);
  });

  test("warns once of rules behind one that takes every call", () => {
    expect(check(route('[{ match: { methods: ["*"] } }, { timeout: 1s }, { timeout: 2s }]'))).toEqual([
      "warning 16:40 rules[1]: never reached: rules[0] takes every call before it",
    ]);
    const narrow = '[{ match: { methods: ["*"], headers: { x-a: "1" } } }, { timeout: 1s }]';
    expect(check(route(narrow))).toEqual([]);
  });

  test("warns of a service that nobody may call, but not of a mere client", () => {
    expect(check("")).toEqual(["warning 5:7 name: nobody may call payments: no Authorization allows it"]);
  });

  const assertion = (claim: string) => `${allow("{ from: [checkout] }")}---\nkind: Assertion\nname: s\n${claim}\n`;

  test("refuses an assertion that does not hold, at its place, with a pair of which it is not true", () => {
    expect(check(assertion("never: { from: payments, to: payments }"))).toEqual([]);
    expect(check(assertion("always: { from: [checkout], to: payments, methods: [p.P/*] }"))).toEqual([]);
    expect(check(assertion('never: { from: "*", to: payments }'))).toEqual([
      'error 15:8 never: "never" does not hold: checkout may call payments/p.P/Charge, by a/allow[0]',
    ]);
    expect(check(assertion("always: { from: [checkout, payments], to: payments }"))).toEqual([
      'error 15:9 always: "always" does not hold: payments may not call payments/p.P/Charge, by default-deny',
    ]);
  });

  test("counts a condition as one that may hold or not", () => {
    const when = "{ from: [checkout], when: '\"x\" in request.headers' }";
    for (const claim of ["never", "always"]) {
      const content = `${allow(when)}---\nkind: Assertion\nname: s\n${claim}: { from: checkout, to: payments }\n`;
      expect(check(content)).toEqual([
        `error 15:${claim.length + 3} ${claim}: "${claim}" does not hold: checkout may call payments/p.P/Charge where "x" in request.headers, by a/allow[0]`,
      ]);
    }
  });

  test("refuses assertions about what does not exist, with the nearest name", () => {
    expect(check(assertion("never: { from: chekout, to: payments }"))).toEqual([
      'error 15:16 never.from: there is no service "chekout"; did you mean "checkout"?',
    ]);
    expect(check(assertion("never: { from: [chekout], to: payment }"))).toEqual([
      'error 15:31 never.to: there is no service "payment"; did you mean "payments"?',
    ]);
    expect(check(assertion("never: { from: checkout, to: payments, methods: [p.P/Refund] }"))).toEqual([
      expect.stringMatching(/^error 15:50 never.methods\[0\]: service payments states its methods/),
    ]);
  });

  test("refuses assertions about more pairs than can be asked about (I8)", () => {
    const ids = Array.from({ length: 500 }, (_, index) => `spiffe://other/s${index}`).join(", ");
    const methods = Array.from({ length: 500 }, (_, index) => `p.L/M${index}`).join(", ");
    const large = `kind: Service\nname: large\nmethods: [${methods}]\n---\nkind: Assertion\nname: s\nnever: { from: [${ids}], to: large }\n`;
    expect(check(large).filter((line) => line.startsWith("error"))).toEqual([
      "error 9:7 name: the assertions about large speak of 250000 pairs of callers and methods, at most 50000",
    ]);
  });

  test("refuses policy of a service that no unit can hold (I8)", () => {
    const methods = Array.from({ length: 30_000 }, (_, index) => `p.P/M${index}x12345678`);
    const large = `kind: Service\nname: large\nmethods: [${methods.join(", ")}]\n---\n${allow("{ from: [checkout] }")}`;
    expect(check(large).filter((line) => line.startsWith("error"))).toEqual([
      expect.stringMatching(/^error 9:7 name: service large: its policy takes \d+ bytes, at most 524288$/),
    ]);
  });

  test("gives at most a thousand findings, quickly, errors first (I8)", () => {
    const names = Array.from({ length: 5000 }, (_, index) => `svx-${index}`).join(", ");
    const findings = check(allow(`{ from: [${names}] }`));
    expect(findings).toHaveLength(1001);
    expect(findings.at(-1)).toMatch(/4000 more findings are not shown/);
  });
});
