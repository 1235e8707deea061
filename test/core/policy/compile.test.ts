import { describe, expect, test } from "@jest/globals";
import { buildSpiffeId, parseSpiffeId } from "../../../core/identity.js";
import type { Authorization, Route, Unit } from "../../../core/model.js";
import { compileUnit } from "../../../core/policy/compile.js";

const mesh = "demo";
const checkout = buildSpiffeId(mesh, "service", "checkout");
const guest = buildSpiffeId(mesh, "service", "guest-cart");
const charge = "shop.Payments/Charge";
const refund = "shop.Payments/Refund";

function unitWith(parts: {
  methods?: readonly string[];
  allow?: Authorization["allow"];
  deny?: Authorization["deny"];
  rules?: Route["rules"];
}): Unit {
  return {
    name: "payments",
    service: { kind: "Service", name: "payments", methods: parts.methods ?? [] },
    authorizations: [
      { kind: "Authorization", name: "charges", service: "payments", allow: parts.allow ?? [], deny: parts.deny ?? [] },
    ],
    routes: parts.rules ? [{ kind: "Route", name: "payments", service: "payments", rules: parts.rules }] : [],
  };
}

describe("evaluate", () => {
  test("denies by default, naming no rule (I4)", () => {
    const unit = compileUnit(unitWith({}), mesh);
    expect(unit.evaluate(checkout, charge)).toEqual({
      allow: false,
      rule: "default-deny",
      reason: "no authorization of payments allows it",
    });
  });

  test("allows exactly the caller and method of a rule, and names it", () => {
    const unit = compileUnit(unitWith({ allow: [{ from: ["checkout"], methods: [charge] }] }), mesh);
    expect(unit.evaluate(checkout, charge)).toMatchObject({ allow: true, rule: "charges/allow[0]" });
    expect(unit.evaluate(checkout, refund).allow).toBe(false);
    expect(unit.evaluate(guest, charge).allow).toBe(false);
    expect(unit.evaluate(parseSpiffeId("spiffe://other/service/checkout"), charge).allow).toBe(false);
  });

  test("lets deny win over allow, whoever the deny names", () => {
    const allow = [{ from: ["*"], methods: ["*"] }];
    const named = compileUnit(unitWith({ allow, deny: [{ from: ["guest-cart"], methods: [] }] }), mesh);
    expect(named.evaluate(guest, charge)).toMatchObject({ allow: false, rule: "charges/deny[0]" });
    expect(named.evaluate(checkout, charge).allow).toBe(true);
    const anyone = compileUnit(unitWith({ allow, deny: [{ from: [], methods: ["shop.Payments/*"] }] }), mesh);
    expect(anyone.evaluate(checkout, charge)).toMatchObject({ allow: false, rule: "charges/deny[0]" });
    expect(anyone.evaluate(checkout, "shop.Other/Charge").allow).toBe(true);
  });

  test("does not let a service pattern reach a longer service name", () => {
    const unit = compileUnit(unitWith({ allow: [{ from: ["*"], methods: ["shop.Payments/*"] }] }), mesh);
    expect(unit.evaluate(checkout, "shop.PaymentsAdmin/Charge").allow).toBe(false);
    expect(unit.evaluate(checkout, "other.shop.Payments/Charge").allow).toBe(false);
  });

  test("denies what is not a method even where everything is allowed (I5)", () => {
    const unit = compileUnit(unitWith({ allow: [{ from: ["*"], methods: ["*"] }] }), mesh);
    for (const method of ["", "/", "*", "shop.Payments/*", "/shop.Payments/Charge", "a/b/c", "a%2fb/c", "a/b\n"])
      expect([method, unit.evaluate(checkout, method).allow]).toEqual([method, false]);
  });

  test("denies a method that the service does not state, where it states its methods", () => {
    const unit = compileUnit(unitWith({ methods: [charge], allow: [{ from: ["*"], methods: ["*"] }] }), mesh);
    expect(unit.evaluate(checkout, charge).allow).toBe(true);
    expect(unit.evaluate(checkout, refund)).toMatchObject({ allow: false, rule: "default-deny" });
  });

  test("decides the same after more pairs than it remembers (I8)", () => {
    const unit = compileUnit(unitWith({ allow: [{ from: ["checkout"], methods: [charge] }] }), mesh);
    for (let index = 0; index < 25_000; index++) unit.evaluate(checkout, `shop.Payments/M${index}`);
    expect(unit.evaluate(checkout, charge).allow).toBe(true);
    expect(unit.evaluate(guest, charge).allow).toBe(false);
  });

  test("refuses a unit whose index would be too large (I8)", () => {
    const allow = Array.from({ length: 1500 }, (_, index) => ({
      from: Array.from({ length: 30 }, (_, caller) => `c${(caller + index) % 1500}`),
      methods: Array.from({ length: 25 }, (_, method) => `a.B/M${method}`),
    }));
    expect(() => compileUnit(unitWith({ allow }), mesh)).toThrow(/at most 1000000/);
  });
});

describe("findRoute", () => {
  const beta = { name: "x-beta", value: "1" };
  const unit = compileUnit(
    unitWith({
      rules: [
        {
          match: { methods: ["shop.Payments/*"], headers: [beta] },
          split: [{ version: "v2", weight: 1 }],
          timeoutMs: 0,
        },
        { match: { methods: [refund], headers: [] }, split: [], timeoutMs: 500 },
        { match: undefined, split: [{ version: "v1", weight: 1 }], timeoutMs: 2000 },
      ],
    }),
    mesh,
  );
  const without = () => undefined;
  const withBeta = (name: string) => (name === "x-beta" ? "1" : undefined);

  test("gives the first rule whose conditions all hold", () => {
    expect(unit.findRoute(charge, withBeta)?.name).toBe("payments/rules[0]");
    expect(unit.findRoute(refund, without)?.name).toBe("payments/rules[1]");
    expect(unit.findRoute(charge, () => "2")?.name).toBe("payments/rules[2]");
    expect(unit.findRoute("shop.Other/Get", withBeta)?.name).toBe("payments/rules[2]");
    expect(unit.hasHeaderMatches).toBe(true);
  });

  test("gives nothing where no rule matches or there is no route", () => {
    expect(compileUnit(unitWith({}), mesh).findRoute(charge, without)).toBeUndefined();
    const only = [{ match: { methods: [refund], headers: [] }, split: [], timeoutMs: 1 }];
    const some = compileUnit(unitWith({ rules: only }), mesh);
    expect(some.findRoute(charge, without)).toBeUndefined();
    expect(some.hasHeaderMatches).toBe(false);
  });
});
