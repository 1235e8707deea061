import { describe, expect, test } from "@jest/globals";
import { accessChange } from "../../console/api/messages.js";
import { checkedAccess, decisionBatch } from "../../console/api/record-messages.js";
import { buildMatrix, callersMax, renderLeftOff } from "../../console/pages/access/matrix.js";
import { addRecorded, askedMax, isFlip, noneRecorded, plain, requestOf } from "../../console/pages/access/replay.js";
import { checkClaims, decisionId, parseHeaders } from "../../console/pages/access/requests.js";

describe("the matrix", () => {
  const allowed = (caller: string, service: string, method: string, after = "allowed") =>
    accessChange({ caller, service, method, after, change: "gains" });
  const access = [
    allowed("checkout", "payments", "Charge"),
    allowed("checkout", "payments", "Refund", "claims.ok"),
    allowed("*", "payments", "Health"),
    allowed("ledger", "inventory", "List"),
    allowed("gone", "payments", "Charge", "denied"),
  ];
  const show = (service: string, search = "") => {
    const { columns, rows } = buildMatrix(access, service, search);
    return [columns, ...rows.map(({ caller, cells }) => [caller, ...cells.map(({ kind }) => kind)])];
  };

  test("has the methods of a service across, everyone else last", () => {
    expect(show("payments")).toEqual([
      ["Charge", "Health", "Refund"],
      ["checkout", "allowed", "denied", "conditional"],
      ["*", "denied", "allowed", "denied"],
    ]);
  });

  test("has services across where none is chosen, and says how many methods", () => {
    expect(show("")).toEqual([
      ["inventory", "payments"],
      ["checkout", "denied", "allowed"],
      ["ledger", "allowed", "denied"],
      ["*", "denied", "allowed"],
    ]);
    expect(buildMatrix(access, "", "").rows[0]?.cells[1]?.count).toBe(2);
  });

  test("is searched by caller, or by what is called", () => {
    expect(show("", "ledger").slice(1)).toEqual([["ledger", "allowed", "denied"]]);
    expect(show("", "inventory")).toEqual([["inventory"], ["ledger", "allowed"]]);
    expect(show("", "nobody").slice(1)).toEqual([]);
  });

  test("says what it leaves out", () => {
    const many = Array.from({ length: 300 }, (_, index) => allowed(`caller-${index}`, `service-${index}`, "Do"));
    const { rows, callersLeftOff, columns, columnsLeftOff } = buildMatrix(many, "", "");
    expect(columns.length + columnsLeftOff).toBe(300);
    expect(rows.length).toBeLessThanOrEqual(callersMax);
    expect(rows.every(({ cells }) => cells.some(({ kind }) => kind !== "denied"))).toBe(true);
    expect(callersLeftOff).toBe(0);
  });
});

describe("what people type about a call", () => {
  test("headers", () => {
    expect(parseHeaders("X-User: ada\n\n a.b : c:d ").headers).toEqual([
      { name: "x-user", value: "ada" },
      { name: "a.b", value: "c:d" },
    ]);
    expect(parseHeaders("x-user ada").problem).toContain("x-user ada");
  });

  test("claims", () => {
    expect(['{"a":1}', " ", "[]", "{"].map((text) => checkClaims(text) === "")).toEqual([true, true, false, false]);
  });

  test("ids of decisions, in either spelling", () => {
    expect(decisionId(" 0190AABBCCDDEEFF00112233 ")).toBe("0190aabbccddeeff00112233");
    expect(decisionId("AZCqu8zd7v8AESIz")).toBe("0190aabbccddeeff00112233");
    expect(decisionId("nonsense")).toBe("nonsense");
  });
});

describe("a replay", () => {
  const decision = (json: object) => ({
    direction: "DIRECTION_INBOUND",
    verdict: "VERDICT_ALLOWED",
    caller: "spiffe://shop/service/a",
    service: "b",
    method: "m",
    ...json,
  });
  const batch = decisionBatch({
    decisions: [
      decision({}),
      decision({}),
      decision({ headers: [{ name: "x", state: "RECORDED_STATE_WHOLE", value: "1" }] }),
      decision({ verdict: "VERDICT_LIMITED" }),
      decision({ direction: "DIRECTION_OUTBOUND", verdict: "VERDICT_ROUTED" }),
      decision({ shadow: true }),
    ],
  });

  test("asks once about calls that are alike, and not about limits and routes", () => {
    const { asked, calls, leftOff } = addRecorded(noneRecorded, batch);
    expect([asked.map(({ count }) => count), calls, leftOff]).toEqual([[2, 1], 3, 0]);
  });

  test("has a bound, and counts what is beyond it", () => {
    const many = decisionBatch({
      decisions: Array.from({ length: askedMax + 50 }, (_, index) => decision({ method: `m${index}` })),
    });
    const { asked, calls, leftOff } = addRecorded(noneRecorded, many);
    expect([asked.length, calls, leftOff]).toEqual([askedMax, askedMax + 50, 50]);
  });

  test("asks with the inputs that were recorded whole", () => {
    const [one] = decisionBatch({
      decisions: [
        decision({
          headers: [
            { name: "x", state: "RECORDED_STATE_WHOLE", value: "1" },
            { name: "authorization", state: "RECORDED_STATE_WITHHELD" },
          ],
          tokenIssuer: "accounts",
          claims: [{ name: "sub", state: "RECORDED_STATE_WHOLE", value: { stringValue: "ada" } }],
        }),
      ],
    }).decisions;
    if (one === undefined) throw new Error("there is one");
    expect(requestOf(one, 9)).toEqual({
      caller: "spiffe://shop/service/a",
      service: "b",
      method: "m",
      revision: 9,
      headers: [{ name: "x", value: "1" }],
      claims: '{"sub":"ada"}',
      tokenIssuer: "accounts",
    });
  });

  test("recorded values are JSON again", () => {
    expect(
      plain({
        mapValue: {
          fields: [
            { name: "n", value: { intValue: "7" } },
            { name: "l", value: { listValue: { items: [{ boolValue: false }, { nullValue: true }] } } },
          ],
        },
      }),
    ).toEqual({ n: 7, l: [false, null] });
  });

  test("a flip is another verdict", () => {
    const [asked] = addRecorded(noneRecorded, batch).asked;
    if (asked === undefined) throw new Error("there is one");
    expect([true, false].map((allowed) => isFlip(asked, checkedAccess({ allowed })))).toEqual([false, true]);
  });
});

test("what finds no room is named, and nothing that does", () => {
  expect(renderLeftOff(0, 120, "service")).toBe("120 services more");
  expect(renderLeftOff(3, 0, "method")).toBe("3 callers more");
  expect(renderLeftOff(1, 2, "method")).toBe("1 caller and 2 methods more");
});
