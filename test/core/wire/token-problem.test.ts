/** Why a token was refused, on its way from a proxy to an operator. */
import { expect, test } from "@jest/globals";
import { decisionToJson, describeInputs } from "../../../cli/decision-output.js";
import { type DecisionRecord, noInputs, renderDecisionId } from "../../../core/decision/decision-record.js";
import { isAshlarError } from "../../../core/errors.js";
import { parseSpiffeId } from "../../../core/identity.js";
import { decisionOf, encodeDecision, parseDecisionBytes, renderDecision } from "../../../core/wire/decisions.js";

const refusal: DecisionRecord = {
  id: renderDecisionId(1_700_000_000_000, 1, 2),
  direction: "inbound",
  service: "payments",
  caller: parseSpiffeId("spiffe://shop/service/checkout"),
  method: "shop.Payments/Charge",
  verdict: "unauthenticated",
  rule: "token",
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
const expired: DecisionRecord = { ...refusal, tokenProblem: "it has expired" };

function codeOf(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return isAshlarError(error) ? error.code : error;
  }
}

test("it comes through records and the admin API, and takes no byte where there is none", () => {
  expect(parseDecisionBytes(encodeDecision(expired))).toEqual(expired);
  expect(decisionOf(renderDecision(expired))).toEqual(expired);
  expect(parseDecisionBytes(encodeDecision(refusal))).toEqual(refusal); // as a proxy of the version before writes it
  const tag = 2 + 1; // field 28 has a tag of two bytes, then a length
  expect(encodeDecision(expired).length - encodeDecision(refusal).length).toBe(tag + "it has expired".length);
});

test("it is refused where no token was, and when it is too long", () => {
  expect(codeOf(() => parseDecisionBytes(encodeDecision({ ...expired, verdict: "denied" })))).toBe("invalid_record");
  const long = { ...expired, tokenProblem: "x".repeat(1025) };
  expect(["invalid_record", "limit"]).toContain(codeOf(() => parseDecisionBytes(encodeDecision(long))));
});

test("explain and decisions -o json say it", () => {
  const ofProxy = (decision: DecisionRecord) => ({ service: "payments", proxyId: "p1", decision });
  expect(decisionToJson(ofProxy(expired))).toMatchObject({ rule: "token", tokenProblem: "it has expired" });
  expect(decisionToJson(ofProxy(refusal))).not.toHaveProperty("tokenProblem");
  expect(describeInputs(expired)).toEqual(["token, refused: it has expired"]);
  expect(describeInputs(refusal)).toEqual([]);
});
