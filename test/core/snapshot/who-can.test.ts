import { describe, expect, test } from "@jest/globals";
import type { AuthorizationRule } from "../../../core/model.js";
import { unitsOf } from "../../../core/snapshot/build.js";
import { whoCan } from "../../../core/snapshot/who-can.js";

const charge = "p.P/Charge";
const debug = '"x-debug" in request.headers';
const outsider = "spiffe://partner/service/shop";

function ask(allow: readonly AuthorizationRule[], deny: readonly AuthorizationRule[] = [], method = charge) {
  const units = unitsOf([
    { kind: "Service", name: "cart", methods: [] },
    { kind: "Service", name: "payments", methods: [charge, "p.P/Refund"] },
    { kind: "Authorization", name: "a", service: "payments", allow, deny },
  ]);
  return whoCan(units, "payments", method, "demo")?.map((row) => Object.values(row).filter((text) => text !== ""));
}

describe("whoCan", () => {
  test("lists services, SPIFFE IDs and everyone else, those that may call first", () => {
    const allow = [
      { from: ["payments"], methods: [charge] },
      { from: [outsider], methods: [charge], when: debug },
    ];
    expect(ask(allow)).toEqual([
      ["payments", "allowed", "a/allow[0]"],
      [outsider, "conditional", "a/allow[1]", debug],
      ["cart", "denied", "default-deny"],
      ["*", "denied", "default-deny"],
    ]);
  });

  test("names the deny that decides, and the condition that a deny leaves", () => {
    const allow = [{ from: ["*"], methods: [] }];
    const deny = [
      { from: ["cart"], methods: [] },
      { from: ["payments"], methods: [], when: debug },
    ];
    expect(ask(allow, deny)).toEqual([
      ["*", "allowed", "a/allow[0]"],
      ["payments", "conditional", "a/allow[0]", `!(${debug})`],
      ["cart", "denied", "a/deny[0]"],
    ]);
  });

  test("takes a deny with a condition for the reason of nothing where no rule allows the call", () => {
    expect(ask([], [{ from: ["cart"], methods: [], when: debug }])?.[0]).toEqual(["cart", "denied", "default-deny"]);
  });

  test("leaves a condition on the caller open for everyone else, and evaluates it for those it knows", () => {
    const when = 'caller.trust_domain == "demo"';
    expect(ask([{ from: ["*"], methods: [], when }])).toEqual([
      ["cart", "allowed", "a/allow[0]"],
      ["payments", "allowed", "a/allow[0]"],
      ["*", "conditional", "a/allow[0]", when],
    ]);
  });

  test("denies everybody a method that the service does not state, and knows no service that is not there", () => {
    const allow = [{ from: ["*"], methods: [] }];
    expect(ask(allow, [], "p.P/Steal")?.map(([, access]) => access)).toEqual(["denied", "denied", "denied"]);
    expect(whoCan(unitsOf([]), "payments", charge, "demo")).toBeUndefined();
    expect(whoCan(unitsOf([]), "@mesh", charge, "demo")).toBeUndefined();
  });
});
