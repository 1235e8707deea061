/** Which reads wait at an instance for the write that they name. */
import { expect, test } from "@jest/globals";
import { readWait } from "../../../data-plane/proxy/read-wait.js";

const isRead = (method: string): boolean => method === "bank.Ledger/Balance";
const reads = { name: "books/reads", replica: { version: "v2", labels: [] }, waitMs: 70, isRead };
const at = (version: string) => ({ version, labels: [] });
const read = "bank.Ledger/Balance";

test.each([
  ["at the replica", { isRead, reads }, read, at("v2"), true, 70],
  ["at a replica that is silent", { isRead, reads }, read, at("v2"), false, 70],
  ["not at the primary, whatever its application reports", { isRead, reads }, read, at("v1"), true, undefined],
  ["not a write", { isRead, reads }, "bank.Ledger/Transfer", at("v2"), true, undefined],
  [
    "where the caller's proxy has a revision with reads and this one has not",
    { isRead, reads: undefined },
    read,
    at("v2"),
    true,
    1000,
  ],
  ["not there where no application reports", { isRead, reads: undefined }, read, at("v1"), false, undefined],
  ["not without a journal", undefined, read, at("v2"), true, undefined],
] as const)("%s", (_name, journal, method, place, isReporting, expected) => {
  expect(readWait(journal, method, place, isReporting)?.waitMs).toBe(expected);
});
