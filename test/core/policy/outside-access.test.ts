/** What is asked about services is answered for gateways, clients behind them, and egresses as well. */
import { describe, expect, test } from "@jest/globals";
import { type DecisionRecord, noInputs } from "../../../core/decision/decision-record.js";
import { explainDecision } from "../../../core/decision/explain.js";
import { redecide } from "../../../core/decision/redecide.js";
import { buildSpiffeId } from "../../../core/identity.js";
import { compileUnit } from "../../../core/policy/compile.js";
import { findAffectedCalls } from "../../../core/rollout/affected-calls.js";
import { unitsOf } from "../../../core/snapshot/build.js";
import { checkPolicy } from "../../../core/snapshot/check.js";
import { diffUnits } from "../../../core/snapshot/diff.js";
import { diffAccess } from "../../../core/snapshot/matrix.js";
import { parsePolicyFiles } from "../../../core/snapshot/parse-files.js";
import { whoCan } from "../../../core/snapshot/who-can.js";
import { accessMatrix } from "../../support/access-matrix.js";

const mesh = "demo";
const policy = `
kind: Service
name: shop
methods: [s.Shop/Browse]
---
kind: Service
name: ledger
methods: [l.Ledger/Book]
---
kind: Egress
name: cards
methods: [c.Cards/Charge, c.Cards/Show]
---
kind: Gateway
name: public
listeners:
  - name: web
    expose: [{ service: shop, methods: [s.Shop/*] }]
    callers: { anyone: true }
---
kind: Authorization
name: shop
service: shop
allow:
  - from: [gateway/public]
---
kind: Authorization
name: ledger
service: ledger
allow:
  - from: [shop]
---
kind: Authorization
name: cards
service: cards
allow:
  - from: [shop]
    methods: [c.Cards/Charge]
`;

function read(content: string) {
  const { objects, findings } = parsePolicyFiles([{ name: "policy.yaml", content }]);
  return {
    units: unitsOf(objects.map(({ object }) => object)),
    findings: [...findings, ...checkPolicy(objects, { mesh })],
  };
}
const messages = (more: string): readonly string[] =>
  read(`${policy}---\n${more}`)
    .findings.filter(({ severity }) => severity === "error")
    .map(({ message }) => message);
const never = (from: string, to: string): string =>
  `kind: Assertion\nname: never\nnever: { from: [${from}], to: ${to} }\n`;

describe("assertions", () => {
  test("hold of gateways and egresses", () => {
    expect(messages(never("gateway/public", "ledger"))).toEqual([]);
    expect(messages(never("gateway/public", "cards"))).toEqual([]);
    expect(messages(never("ledger", "cards"))).toEqual([]);
  });

  test("are refused with the pair that breaks them", () => {
    expect(messages(never("gateway/public", "shop"))).toEqual([
      '"never" does not hold: gateway/public may call shop/s.Shop/Browse, by shop/allow[0]',
    ]);
    expect(messages(never("shop", "cards"))).toEqual([
      '"never" does not hold: shop may call cards/c.Cards/Charge, by cards/allow[0]',
    ]);
  });

  test("of a gateway are broken by some clients behind it, and by everybody", () => {
    const rule = (what: string): string =>
      `kind: Authorization\nname: more\nservice: ledger\nallow:\n  - ${what}\n---\n${never("gateway/public", "ledger")}`;
    expect(messages(rule('{ from: [gateway/public], client: ["spiffe://partner/till"] }'))).toEqual([
      expect.stringMatching(
        /gateway\/public may call ledger\/l\.Ledger\/Book where .*partner\/till.*, by more\/allow\[0\]/,
      ),
    ]);
    expect(messages(rule('{ from: ["*"] }'))).toEqual([
      '"never" does not hold: gateway/public may call ledger/l.Ledger/Book, by more/allow[0]',
    ]);
  });
});

test("the matrix and who-can have gateways as callers, and egresses as what is called", () => {
  const { units } = read(policy);
  expect(
    accessMatrix(units, mesh).pairs.map(({ caller, service, method }) => `${caller} ${service}/${method}`),
  ).toEqual(["shop cards/c.Cards/Charge", "shop ledger/l.Ledger/Book", "gateway/public shop/s.Shop/Browse"]);
  const callers = (service: string, method: string) =>
    whoCan(units, service, method, mesh)?.map(({ caller, access }) => `${caller} ${access}`);
  expect(callers("cards", "c.Cards/Charge")).toEqual([
    "shop allowed",
    "gateway/public denied",
    "ledger denied",
    "* denied",
  ]);
  expect(callers("shop", "s.Shop/Browse")?.[0]).toBe("gateway/public allowed");
  expect(callers("cards", "c.Cards/Unstated")?.every((line) => line.endsWith("denied"))).toBe(true);
});

test("a difference says who gains and loses, over gateways and egresses, and which objects change", () => {
  const before = read(policy).units;
  const after = read(
    policy
      .replace("[c.Cards/Charge]\n", "[c.Cards/Show]\n")
      .replace("  - from: [gateway/public]\n", "  - from: [ledger]\n"),
  ).units;
  expect(
    diffAccess(before, after, mesh).pairs.map(
      ({ caller, service, method, change }) => `${caller} ${change} ${service}/${method}`,
    ),
  ).toEqual([
    "shop loses cards/c.Cards/Charge",
    "shop gains cards/c.Cards/Show",
    "gateway/public loses shop/s.Shop/Browse",
    "ledger gains shop/s.Shop/Browse",
  ]);
  const gone = read(
    policy.replace(/---\nkind: Egress[\s\S]*?(?=---)/, "").replace(/---\nkind: Authorization\nname: cards[\s\S]*$/, ""),
  );
  expect(diffUnits(before, gone.units).objects.map(({ change, kind, name }) => `${change} ${kind} ${name}`)).toEqual([
    "removed Authorization cards",
    "removed Egress cards",
  ]);
  expect(diffAccess(before, gone.units, mesh).pairs.map(({ change, service }) => `${change} ${service}`)).toEqual([
    "loses cards",
  ]);
});

describe("a recorded decision about a call that left the mesh", () => {
  const unit = read(policy).units.find(({ name }) => name === "cards");
  if (unit === undefined) throw new Error("no cards");
  const record: DecisionRecord = {
    ...{ id: "0".repeat(24), direction: "egress", service: "cards", caller: buildSpiffeId(mesh, "service", "ledger") },
    ...{ method: "c.Cards/Charge", verdict: "denied", rule: "default-deny", revision: 1, epoch: 1, timeMs: 1 },
    ...{ inputs: noInputs, routing: undefined, version: "", limits: [], closed: false, shadow: false },
  };

  test("is decided again by a candidate, as for replay", () => {
    const open = read(policy.replace("  - from: [shop]\n    methods", "  - from: [shop, ledger]\n    methods")).units;
    const candidate = open.find(({ name }) => name === "cards");
    expect(redecide(record, compileUnit(unit, mesh), "candidate")).toMatchObject({ verdict: "denied" });
    expect(candidate && redecide(record, compileUnit(candidate, mesh), "candidate")).toMatchObject({
      verdict: "allowed",
    });
    expect(redecide(record, undefined, "candidate")).toMatchObject({ verdict: "denied" });
  });

  test("is explained by the nearest rule, and by what the Egress states", () => {
    const compiled = compileUnit(unit, mesh);
    expect(explainDecision(record, { unit, compiled }, mesh).nearest?.change).toBe("add ledger to cards/allow[0].from");
    expect(explainDecision({ ...record, method: "c.Cards/Void" }, { unit, compiled }, mesh).nearest?.change).toBe(
      "add c.Cards/Void to the methods of Egress cards",
    );
  });
});

test("a rollout counts the calls of an egress whose methods change", () => {
  const of = (text: string) => read(text).units.find(({ name }) => name === "cards");
  const [base, candidate] = [of(policy), of(policy.replace("c.Cards/Charge, c.Cards/Show]", "c.Cards/Charge]"))];
  const affected = findAffectedCalls([{ base, candidate } as Parameters<typeof findAffectedCalls>[0][number]]);
  expect(affected).toEqual([expect.objectContaining({ service: "cards", side: "caller", methods: ["c.Cards/Show"] })]);
});
