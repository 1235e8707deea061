/** Recorded calls whose method a route's rewrite changed: both names count, each where it belongs. */
import { describe, expect, test } from "@jest/globals";
import {
  type DecisionRecord,
  noInputs,
  type RefusalCount,
  renderDecisionId,
} from "../../../core/decision/decision-record.js";
import { explainDecision } from "../../../core/decision/explain.js";
import { predictRefusals } from "../../../core/decision/predict-refusals.js";
import { recordHeaders } from "../../../core/decision/record-inputs.js";
import { isSame, redecide } from "../../../core/decision/redecide.js";
import { Replay } from "../../../core/decision/replay.js";
import { buildSpiffeId } from "../../../core/identity.js";
import { compileUnit } from "../../../core/policy/compile.js";
import { unitsOf } from "../../../core/snapshot/build.js";
import { parsePolicyFiles } from "../../../core/snapshot/parse-files.js";
import { encodeBatch, encodeDecision, parseBatch, parseDecisionBytes } from "../../../core/wire/decisions.js";

const mesh = "shop";
const [v1, v2] = ["shop.v1.Payments/Charge", "shop.v2.Payments/Charge"];

/** checkout may call `methods`; calls of v1 become v2 where `rewrites`, and the rule asks for a header if `header`. */
function payments(methods: readonly string[], rewrites: boolean, header = "") {
  const match = `{ methods: [${v1}]${header === "" ? "" : `, headers: { ${header}: "1" }`} }`;
  const route = `---
kind: Route
name: payments
service: payments
rules: [{ match: ${match}, rewrite: { method: ${v2} } }]
`;
  const content = `kind: Service
name: payments
---
kind: Service
name: checkout
---
kind: Authorization
name: charges
service: payments
allow: [{ from: [checkout], methods: [${methods.join(", ")}] }]
${rewrites ? route : ""}`;
  const { objects } = parsePolicyFiles([{ name: "policy.yaml", content }]);
  const unit = unitsOf(objects.map(({ object }) => object)).find(({ name }) => name === "payments");
  if (unit === undefined) throw new Error("no payments");
  return { unit, compiled: compileUnit(unit, mesh) };
}

const base: DecisionRecord = {
  id: renderDecisionId(1_700_000_000_000, 1, 2),
  direction: "inbound",
  service: "payments",
  caller: buildSpiffeId(mesh, "service", "checkout"),
  method: v2,
  calledMethod: v1,
  verdict: "allowed",
  rule: "charges/allow[0]",
  revision: 1,
  epoch: 1,
  timeMs: 1_700_000_000_000,
  inputs: noInputs,
  routing: undefined,
  version: "",
  limits: [],
  closed: false,
  shadow: false,
};
const { calledMethod: _, ...plain } = { ...base, method: v1 };
const outbound: DecisionRecord = {
  ...{ ...plain, direction: "outbound", sentMethod: v2, verdict: "routed", rule: "payments/rules[0]" },
  ...{ routing: { draw: 0, available: ["v2"] }, attempts: 3 },
};
const counted: RefusalCount = {
  ...{ caller: base.caller, method: v2, calledMethod: v1, rule: "default-deny", verdict: "denied" },
  ...{ revision: 1, count: 30, fromMs: base.timeMs, untilMs: base.timeMs + 5 },
};

function batchOf(decisions: readonly DecisionRecord[], counts: readonly RefusalCount[] = []) {
  const about = { service: "payments", proxyId: "p1", share: 1, dropped: 0, counted: counts };
  return parseBatch(encodeBatch(about, decisions.map(encodeDecision)), { service: "payments", proxyId: "p1" });
}

function replay(candidate: ReturnType<typeof payments>, own = payments([v2], true)) {
  const sides = { candidate: () => candidate.compiled, own: () => () => own.compiled };
  const going = new Replay(sides);
  going.add(batchOf([base]));
  return { ...going.result(), predicted: predictRefusals([batchOf([base])], sides) };
}

describe("a record of a rewritten call", () => {
  test.each([base, outbound, { ...base, traceId: "ab".repeat(16) }])(
    "comes back from its bytes with both names: $direction",
    (record) => {
      expect(parseDecisionBytes(encodeDecision(record))).toEqual(record);
    },
  );

  test("is refused if it says what only the other half of the call knows", () => {
    for (const wrong of [
      { ...base, attempts: 1 },
      { ...base, sentMethod: v2 },
      { ...outbound, calledMethod: v1 },
    ])
      expect(() => parseDecisionBytes(encodeDecision(wrong))).toThrow("only the other half of its call");
  });

  test("is reproduced by its own revision, even where the caller's proxy routed by another one", () => {
    for (const own of [payments([v2], true), payments([v2], false)]) {
      const again = redecide(base, own.compiled, "recorded");
      expect(again.kind === "decided" && isSame(base, again)).toBe(true);
    }
    const again = redecide(outbound, payments([v2], true).compiled, "recorded");
    expect(again).toMatchObject({ verdict: "routed", method: v2 });
    expect(again.kind === "decided" && isSame(outbound, again)).toBe(true);
    expect(again.kind === "decided" && isSame({ ...outbound, sentMethod: v1 }, again)).toBe(false);
  });

  test("is judged under a candidate by the method that would arrive", () => {
    expect(replay(payments([v1], false))).toMatchObject({
      same: 1,
      flipped: 0,
      reproduced: 1,
      predicted: { share: 0 },
    });
    const lost = replay(payments([v2], false));
    expect(lost).toMatchObject({ flipped: 1, reproduced: 1, predicted: { share: 1 } });
    expect(lost.flips).toMatchObject([{ method: v2, before: "allowed", after: `denied as ${v1}` }]);
    const { calledMethod: _, ...own } = { ...base, method: v1 };
    const going = new Replay({ candidate: () => payments([v1], true).compiled, own: () => undefined });
    going.add(batchOf([own]));
    expect(going.result().flips).toMatchObject([{ method: v1, before: "allowed", after: `denied as ${v2}` }]);
  });

  test("cannot be told under a candidate whose rewrite reads a header that was not recorded, and can with it", () => {
    const candidate = payments([v1], true, "x-beta");
    expect(replay(candidate)).toMatchObject({ undecidable: 1, unknown: [{ what: "header x-beta" }] });
    const header = (name: string) => (name === "x-beta" ? "0" : undefined);
    const read = { ...base, inputs: recordHeaders(["x-beta"], header) };
    expect(redecide(read, candidate.compiled, "candidate")).toMatchObject({ verdict: "allowed", method: v1 });
  });

  test("only counted, is judged by the method that would arrive too", () => {
    const going = new Replay({ candidate: () => payments([v1], false).compiled, own: () => undefined });
    going.add(batchOf([], [counted]));
    expect(going.result().flips).toMatchObject([{ before: "denied", after: `allowed as ${v1}`, count: 30 }]);
  });

  test("that another method leaves for is a flip of its route", () => {
    const going = new Replay({ candidate: () => payments([v1], false).compiled, own: () => undefined });
    const about = { service: "checkout", proxyId: "p2", share: 1, dropped: 0, counted: [] };
    const bytes = encodeBatch(about, [encodeDecision(outbound)]);
    going.add(parseBatch(bytes, { service: "checkout", proxyId: "p2" }));
    expect(going.result().flips).toMatchObject([{ method: v1, before: `routed as ${v2}`, after: "routed" }]);
  });

  test("is explained by the method that was judged, and under another revision by the one that would arrive", () => {
    const denied: DecisionRecord = { ...base, verdict: "denied", rule: "default-deny" };
    const change = (method: string) => `add ${method} to charges/allow[0].methods`;
    expect(explainDecision(denied, payments([v1], true), mesh).nearest?.change).toBe(change(v2));
    const { again, nearest } = explainDecision(denied, payments([v2], false), mesh, "candidate");
    expect(again).toMatchObject({ verdict: "denied", method: v1 });
    expect(nearest?.change).toBe(change(v1));
  });
});
