import { expect, test } from "@jest/globals";
import { uncountedStatement } from "../../../data-plane/sync/sync-problems.js";

test("an old statement is no sign of a wrong clock alone: after a restart it may be the last one before the control plane stopped", () => {
  expect(uncountedStatement({ kind: "late", byMs: 138_400 })).toBe(
    "the newest statement about the heads of the logs does not count: it is 138 s old; either no control plane runs, or a clock is wrong, here or at the control plane",
  );
});

test("a statement from the future is one", () => {
  expect(uncountedStatement({ kind: "ahead", byMs: 61_000 })).toMatch(
    /61 s ahead of what this proxy goes by; a clock is wrong/,
  );
});
