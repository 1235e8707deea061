import { describe, expect, test } from "@jest/globals";
import { type DecisionRecord, noInputs, renderDecisionId } from "../../../core/decision/decision-record.js";
import { explainDecision } from "../../../core/decision/explain.js";
import { recordInputs } from "../../../core/decision/record-inputs.js";
import { RecordedInputs } from "../../../core/decision/recorded-inputs.js";
import { buildSpiffeId } from "../../../core/identity.js";
import { compileUnit } from "../../../core/policy/compile.js";
import type { Value } from "../../../core/policy/condition/values.js";
import { unitsOf } from "../../../core/snapshot/build.js";
import { parsePolicyFiles } from "../../../core/snapshot/parse-files.js";
import { encodeBatch, encodeDecision, parseBatch, parseDecisionBytes } from "../../../core/wire/decisions.js";

const mesh = "shop";
const policy = `
kind: Service
name: payments
methods: [shop.Payments/Charge, shop.Payments/Refund]
---
kind: Service
name: checkout
---
kind: Service
name: guest-cart
---
kind: Authorization
name: refunds
service: payments
allow:
  - from: [checkout]
    methods: [shop.Payments/Refund]
    when: jwt.claims.level > 3 && jwt.claims["scope"].contains("pay")
---
kind: Authorization
name: checkout-charges
service: payments
allow:
  - from: [checkout]
    methods: [shop.Payments/Charge]
deny:
  - from: [audit]
`;

function payments(text: string) {
  const { objects } = parsePolicyFiles([{ name: "policy.yaml", content: text }]);
  const unit = unitsOf(objects.map(({ object }) => object)).find(({ name }) => name === "payments");
  if (unit === undefined) throw new Error("no payments");
  return { unit, compiled: compileUnit(unit, mesh) };
}

function refused(caller: string, method: string, fields: Partial<DecisionRecord> = {}): DecisionRecord {
  return {
    id: renderDecisionId(1_700_000_000_000, 1, 2),
    direction: "inbound",
    service: "payments",
    caller: buildSpiffeId(mesh, "service", caller),
    method,
    verdict: "denied",
    rule: "default-deny",
    revision: 1,
    epoch: 1,
    timeMs: 1_700_000_000_000,
    inputs: noInputs,
    routing: undefined,
    version: "",
    limits: [],
    closed: false,
    shadow: false,
    ...fields,
  };
}

describe("explaining a refusal", () => {
  for (const [name, caller, method, rule, change] of [
    [
      "a caller that is missing",
      "guest-cart",
      "shop.Payments/Charge",
      "checkout-charges/allow[0]",
      "add guest-cart to checkout-charges/allow[0].from",
    ],
    [
      "a denied caller",
      "audit",
      "shop.Payments/Charge",
      "checkout-charges/deny[0]",
      "take audit out of checkout-charges/deny[0].from",
    ],
    [
      "a method that is not stated",
      "checkout",
      "shop.Payments/Void",
      "",
      "add shop.Payments/Void to the methods of Service payments",
    ],
    ["what is no method", "checkout", "nonsense", "", 'none: "nonsense" is not of the form package.Service/Method'],
  ] as const) {
    test(`${name}: ${change}`, () => {
      const { nearest } = explainDecision(refused(caller, method), payments(policy), mesh);
      expect(nearest).toMatchObject({ rule, change });
    });
  }

  test("a service that is not there", () => {
    const { again, nearest } = explainDecision(refused("checkout", "a.A/B"), undefined, mesh);
    expect(again).toMatchObject({ verdict: "denied", reason: "the policy has no such service" });
    expect(nearest?.change).toBe("add a Service payments, with an Authorization that allows checkout");
  });

  test("a condition says what it came to, from the claims that it reads and nothing else", () => {
    const claims = new Map<string, Value>([
      ["level", 3n],
      ["scope", "read pay"],
      ["email", "a@b"],
    ]);
    const live = { header: () => undefined, sourceAddress: "1.2.3.4", nowMs: 5, claims, destinationLabels: new Map() };
    const { compiled, unit } = payments(policy);
    const caller = buildSpiffeId(mesh, "service", "checkout");
    const inputs = recordInputs(compiled.readsOf(caller, "shop.Payments/Refund"), live);
    expect(inputs.claims.map(({ name }) => name)).toEqual(["level", "scope"]);
    const record = parseDecisionBytes(encodeDecision(refused("checkout", "shop.Payments/Refund", { inputs })));
    expect(record.inputs).toEqual(inputs);
    const { again, nearest } = explainDecision(record, { unit, compiled }, mesh);
    expect(again).toMatchObject({ kind: "decided", verdict: "denied" });
    expect(nearest).toMatchObject({ rule: "refunds/allow[0]", failing: [{ term: "condition" }] });
  });

  test("claims that are gone through are recorded whole, and nested values come back as they were", () => {
    const reading = policy.replace("jwt.claims.level > 3 &&", `jwt.claims.exists(name, name == "x") &&`);
    const claims = new Map<string, Value>([
      ["scope", "pay"],
      ["list", [1n, 1.5, true, null, new Map([["deep", "er"]])]],
    ]);
    const live = { header: () => undefined, sourceAddress: undefined, nowMs: 5, claims, destinationLabels: new Map() };
    const caller = buildSpiffeId(mesh, "service", "checkout");
    const inputs = recordInputs(payments(reading).compiled.readsOf(caller, "shop.Payments/Refund"), live);
    expect(inputs.claimsComplete).toBe(true);
    const again = parseDecisionBytes(encodeDecision(refused("checkout", "shop.Payments/Refund", { inputs })));
    expect(again.inputs).toEqual(inputs);
    const seen = new RecordedInputs(again.inputs, 5);
    expect(new Map(seen.claims)).toEqual(claims);
    expect(seen.unknown).toEqual([]);
  });
});

test("what was not recorded, is too long or is a credential is named, not guessed", () => {
  const headers: Readonly<Record<string, string>> = { long: "x".repeat(2000), cookie: "secret", "x-a": "1" };
  const live = {
    header: (name: string) => headers[name],
    sourceAddress: "1.2.3.4",
    nowMs: 5,
    claims: new Map<string, Value>([["big", "y".repeat(5000)]]),
    destinationLabels: new Map(),
  };
  const inputs = recordInputs(
    new Set(["header:long", "header:cookie", "header:x-a", "header:none", "jwt", "claim:big"] as const),
    live,
  );
  expect(JSON.stringify(inputs)).not.toMatch(/secret|xxxx|yyyy/);
  const seen = new RecordedInputs(inputs, 5);
  expect([seen.header("x-a"), seen.header("none"), seen.unknown]).toEqual(["1", undefined, []]);
  for (const name of ["long", "cookie", "other"]) expect(seen.header(name)).toBeUndefined();
  expect(seen.sourceAddress).toBeUndefined();
  expect(seen.claims.get("big")).toBeUndefined();
  expect(seen.claims.get("else")).toBeUndefined();
  expect(seen.destinationLabels.size).toBe(0);
  expect(seen.unknown).toEqual([
    "header long (too long to be recorded)",
    "header cookie (a credential, never recorded)",
    "header other",
    "the caller's address",
    "claim big",
    "claim else",
    "the labels of the proxy that was called",
  ]);
});

test("I6: a field that this version does not know is refused, wherever it stands", () => {
  const caller = buildSpiffeId(mesh, "service", "checkout");
  const live = {
    header: () => "1",
    sourceAddress: "1.2.3.4",
    nowMs: 5,
    claims: undefined,
    destinationLabels: new Map(),
  };
  const inputs = recordInputs(new Set(["header:x-a"] as const), live);
  const writer = { service: "payments", proxyId: "p1" };
  const about = { ...writer, share: 1, dropped: 0, counted: [] };
  const known = encodeDecision(refused("checkout", "a.A/B", { inputs, caller }));
  const unknownField = Buffer.from([0xf8, 0x07, 0x01]); // field 127
  expect(parseBatch(encodeBatch(about, [known]), writer).decisions).toHaveLength(1);
  for (const bytes of [
    Buffer.concat([encodeBatch(about, [known]), unknownField]),
    encodeBatch(about, [Buffer.concat([known, unknownField])]),
  ])
    expect(() => parseBatch(bytes, writer)).toThrow(/decision batch: unknown field 127/);
});
