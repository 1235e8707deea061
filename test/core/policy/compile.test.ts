import { describe, expect, test } from "@jest/globals";
import { buildSpiffeId, parseSpiffeId } from "../../../core/identity.js";
import { unitWith } from "../../../core/kinds/unit.js";
import type { Authorization, Route, Unit } from "../../../core/model.js";
import { compileUnit } from "../../../core/policy/compile.js";
import type { CallInputs } from "../../../core/policy/condition/frame.js";

const mesh = "demo";
const checkout = buildSpiffeId(mesh, "service", "checkout");
const guest = buildSpiffeId(mesh, "service", "guest-cart");
const charge = "shop.Payments/Charge";
const refund = "shop.Payments/Refund";

function payments(parts: {
  methods?: readonly string[];
  allow?: Authorization["allow"];
  deny?: Authorization["deny"];
  rules?: Route["rules"];
}): Unit {
  return unitWith("payments", {
    service: { kind: "Service", name: "payments", methods: parts.methods ?? [] },
    authorizations: [
      { kind: "Authorization", name: "charges", service: "payments", allow: parts.allow ?? [], deny: parts.deny ?? [] },
    ],
    routes: parts.rules ? [{ kind: "Route", name: "payments", service: "payments", rules: parts.rules }] : [],
  });
}

describe("evaluate", () => {
  test("denies by default, naming no rule (I4)", () => {
    const unit = compileUnit(payments({}), mesh);
    expect(unit.evaluate(checkout, charge)).toEqual({
      allow: false,
      rule: "default-deny",
      reason: "no authorization of payments allows it",
    });
  });

  test("allows exactly the caller and method of a rule, and names it", () => {
    const unit = compileUnit(payments({ allow: [{ from: ["checkout"], methods: [charge] }] }), mesh);
    expect(unit.evaluate(checkout, charge)).toMatchObject({ allow: true, rule: "charges/allow[0]" });
    expect(unit.evaluate(checkout, refund).allow).toBe(false);
    expect(unit.evaluate(guest, charge).allow).toBe(false);
    expect(unit.evaluate(parseSpiffeId("spiffe://other/service/checkout"), charge).allow).toBe(false);
  });

  test("lets deny win over allow, whoever the deny names", () => {
    const allow = [{ from: ["*"], methods: ["*"] }];
    const named = compileUnit(payments({ allow, deny: [{ from: ["guest-cart"], methods: [] }] }), mesh);
    expect(named.evaluate(guest, charge)).toMatchObject({ allow: false, rule: "charges/deny[0]" });
    expect(named.evaluate(checkout, charge).allow).toBe(true);
    const anyone = compileUnit(payments({ allow, deny: [{ from: [], methods: ["shop.Payments/*"] }] }), mesh);
    expect(anyone.evaluate(checkout, charge)).toMatchObject({ allow: false, rule: "charges/deny[0]" });
    expect(anyone.evaluate(checkout, "shop.Other/Charge").allow).toBe(true);
  });

  test("does not let a service pattern reach a longer service name", () => {
    const unit = compileUnit(payments({ allow: [{ from: ["*"], methods: ["shop.Payments/*"] }] }), mesh);
    expect(unit.evaluate(checkout, "shop.PaymentsAdmin/Charge").allow).toBe(false);
    expect(unit.evaluate(checkout, "other.shop.Payments/Charge").allow).toBe(false);
  });

  test("denies what is not a method even where everything is allowed (I5)", () => {
    const unit = compileUnit(payments({ allow: [{ from: ["*"], methods: ["*"] }] }), mesh);
    for (const method of ["", "/", "*", "shop.Payments/*", "/shop.Payments/Charge", "a/b/c", "a%2fb/c", "a/b\n"])
      expect([method, unit.evaluate(checkout, method).allow]).toEqual([method, false]);
  });

  test("denies a method that the service does not state, where it states its methods", () => {
    const unit = compileUnit(payments({ methods: [charge], allow: [{ from: ["*"], methods: ["*"] }] }), mesh);
    expect(unit.evaluate(checkout, charge).allow).toBe(true);
    expect(unit.evaluate(checkout, refund)).toMatchObject({ allow: false, rule: "default-deny" });
  });

  test("decides the same after more pairs than it remembers (I8)", () => {
    const unit = compileUnit(payments({ allow: [{ from: ["checkout"], methods: [charge] }] }), mesh);
    for (let index = 0; index < 25_000; index++) unit.evaluate(checkout, `shop.Payments/M${index}`);
    expect(unit.evaluate(checkout, charge).allow).toBe(true);
    expect(unit.evaluate(guest, charge).allow).toBe(false);
  });

  test("refuses a unit whose index would be too large (I8)", () => {
    const allow = Array.from({ length: 1500 }, (_, index) => ({
      from: Array.from({ length: 30 }, (_, caller) => `c${(caller + index) % 1500}`),
      methods: Array.from({ length: 25 }, (_, method) => `a.B/M${method}`),
    }));
    expect(() => compileUnit(payments({ allow }), mesh)).toThrow(/at most 1000000/);
  });
});

describe("evaluateCall", () => {
  const eu = 'request.headers["x-region"] == "eu"';
  const call = (headers: Readonly<Record<string, string>>): CallInputs & { readonly asked: string[] } => {
    const asked: string[] = [];
    const header = (name: string) => {
      asked.push(name);
      return headers[name];
    };
    const nothing = { sourceAddress: undefined, nowMs: 0, claims: undefined, destinationLabels: new Map() };
    return { asked, header, ...nothing };
  };

  test("never answers a condition on a header from what another call of the pair got", () => {
    const unit = compileUnit(payments({ allow: [{ from: ["checkout"], methods: [], when: eu }] }), mesh);
    const allowed = ["eu", "us", "eu", "", "eu"].map(
      (region) => unit.evaluateCall(checkout, charge, call({ "x-region": region })).allow,
    );
    expect(allowed).toEqual([true, false, true, false, true]);
    expect(unit.evaluate(checkout, charge).allow).toBe(false);
    expect(unit.evaluateCall(checkout, charge, call({ "x-region": "eu" })).allow).toBe(true);
  });

  test("asks a call for nothing where no rule in question reads it", () => {
    const rules = [
      { from: ["checkout"], methods: [charge] },
      { from: ["checkout"], methods: [refund], when: eu },
    ];
    const unit = compileUnit(payments({ allow: rules }), mesh);
    const [charging, refunding] = [call({}), call({})];
    expect(unit.evaluateCall(checkout, charge, charging).allow).toBe(true);
    expect(unit.evaluateCall(checkout, refund, refunding).allow).toBe(false);
    expect([charging.asked, refunding.asked]).toEqual([[], ["x-region"]]);
  });

  test("lets a deny match and an allow not match that cannot be told (I4)", () => {
    const allow = [{ from: ["*"], methods: [] }];
    const deny = [{ from: [], methods: [], when: 'request.headers["x-region"] != "eu"' }];
    const unit = compileUnit(payments({ allow, deny }), mesh);
    expect(unit.evaluateCall(checkout, charge, call({ "x-region": "eu" })).allow).toBe(true);
    expect(unit.evaluateCall(checkout, charge, call({ "x-region": "us" })).allow).toBe(false);
    expect(unit.evaluateCall(checkout, charge, call({}))).toEqual({
      allow: false,
      rule: "charges/deny[0]",
      reason: `denied by charges/deny[0], because there is no header "x-region": ${deny[0]?.when}`,
    });
  });

  test("sees repeated headers as one value, so a second one cannot hide from a deny", () => {
    const deny = [{ from: [], methods: [], when: 'request.headers["x-role"].matches("(^|,)guest(,|$)")' }];
    const unit = compileUnit(payments({ allow: [{ from: ["*"], methods: [] }], deny }), mesh);
    const allowed = ["clerk", "guest", "clerk,guest", "guest,clerk"].map(
      (role) => unit.evaluateCall(checkout, charge, call({ "x-role": role })).allow,
    );
    expect(allowed).toEqual([true, false, false, false]);
  });

  test("names the first rule that matches, and says which condition was missing", () => {
    const allow = [
      { from: ["checkout"], methods: [], when: eu },
      { from: ["checkout"], methods: [], when: '"x-vip" in request.headers' },
    ];
    const unit = compileUnit(payments({ allow }), mesh);
    expect(unit.evaluateCall(checkout, charge, call({ "x-region": "eu", "x-vip": "" })).rule).toBe("charges/allow[0]");
    expect(unit.evaluateCall(checkout, charge, call({ "x-vip": "" })).rule).toBe("charges/allow[1]");
    expect(unit.evaluateCall(checkout, charge, call({})).reason).toBe(
      `no authorization of payments allows it; charges/allow[0] would where ${eu}; charges/allow[1] would where "x-vip" in request.headers`,
    );
  });

  test("keeps the verdict of a condition that only reads the pair", () => {
    const allow = [
      { from: ["*"], methods: [], when: 'caller.service in ["checkout"] && request.service == "shop.Payments"' },
    ];
    const unit = compileUnit(payments({ allow }), mesh);
    expect(unit.evaluate(checkout, charge).allow).toBe(true);
    expect(unit.evaluate(checkout, charge)).toBe(unit.evaluateCall(checkout, charge, call({})));
    expect(unit.evaluate(guest, charge).allow).toBe(false);
    expect(unit.evaluate(parseSpiffeId("spiffe://other/service/checkout"), charge).allow).toBe(false);
  });

  test("is refused for a unit with more than 256 conditions (I8)", () => {
    const allow = Array.from({ length: 257 }, () => ({ from: ["*"], methods: [], when: eu }));
    expect(() => compileUnit(payments({ allow }), mesh)).toThrow(/257 conditions, at most 256/);
  });
});

describe("findRoute", () => {
  const beta = { name: "x-beta", value: "1" };
  const unit = compileUnit(
    payments({
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
    expect(unit.findRoute(charge, withBeta, checkout)?.name).toBe("payments/rules[0]");
    expect(unit.findRoute(refund, without, checkout)?.name).toBe("payments/rules[1]");
    expect(unit.findRoute(charge, () => "2", checkout)?.name).toBe("payments/rules[2]");
    expect(unit.findRoute("shop.Other/Get", withBeta, checkout)?.name).toBe("payments/rules[2]");
  });

  test("gives nothing where no rule matches or there is no route", () => {
    expect(compileUnit(payments({}), mesh).findRoute(charge, without, checkout)).toBeUndefined();
    const only = [{ match: { methods: [refund], headers: [] }, split: [], timeoutMs: 1 }];
    const some = compileUnit(payments({ rules: only }), mesh);
    expect(some.findRoute(charge, without, checkout)).toBeUndefined();
  });
});
