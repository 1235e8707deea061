import { expect, test } from "@jest/globals";
import { uncountedStatement } from "../../../data-plane/sync/sync-problems.js";

test("an old statement is no sign of a wrong clock alone", () => {
  expect(uncountedStatement({ kind: "late", byMs: 138_400 })).toBe(
    "statements about the heads of the logs do not count: they are 138 s old when they come; they are held back, or a clock is wrong, here or at the control plane",
  );
});

test("a statement from the future is one", () => {
  expect(uncountedStatement({ kind: "ahead", byMs: 61_000 })).toMatch(
    /61 s ahead of what this proxy goes by; a clock is wrong/,
  );
});
