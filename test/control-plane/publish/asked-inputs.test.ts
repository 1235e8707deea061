import { expect, test } from "@jest/globals";
import { inputsAsAsked } from "../../../control-plane/publish/asked-inputs.js";

const noToken = { claims: "", tokenIssuer: "" };

test("headers of one name are joined, as a proxy joins them", () => {
  const headers = [
    { name: "x-a", value: "1" },
    { name: "x-b", value: "" },
    { name: "x-a", value: "2" },
  ];
  const inputs = inputsAsAsked(headers, noToken, 7);
  expect([inputs.header("x-a"), inputs.header("x-b"), inputs.header("x-c")]).toEqual(["1,2", "", undefined]);
  expect([inputs.nowMs, inputs.sourceAddress, inputs.claims]).toEqual([7, undefined, undefined]);
});

test("more headers than a call can have are refused (I8)", () => {
  const headers = Array.from({ length: 129 }, () => ({ name: "x", value: "" }));
  expect(() => inputsAsAsked(headers, noToken, 0)).toThrow(/at most 128, got 129/);
});

test("claims are a JSON object, as a token's", () => {
  const asked = (claims: string) => inputsAsAsked([], { claims, tokenIssuer: "accounts" }, 0);
  expect(asked('{"sub":"ann","level":3}').claims).toEqual(
    new Map<string, unknown>([
      ["sub", "ann"],
      ["level", 3n],
    ]),
  );
  expect(asked("{}").tokenIssuer).toBe("accounts");
  for (const wrong of ["[]", "x", '"a"', `{"a":${"[".repeat(20)}${"]".repeat(20)}}`, `{"a":"${"x".repeat(9000)}"}`])
    expect(() => asked(wrong)).toThrow(/^claims: /);
});
