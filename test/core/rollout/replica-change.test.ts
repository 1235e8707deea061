import { expect, test } from "@jest/globals";
import type { Unit } from "../../../core/model.js";
import { findReplicaChanges } from "../../../core/rollout/replica-change.js";
import { unitsOf } from "../../../core/snapshot/build.js";
import { parsePolicyFiles } from "../../../core/snapshot/parse-files.js";

function unitFrom(reads: string): Unit | undefined {
  const content = `
kind: Service
name: ledger
noSideEffects: [bank.Ledger/Balance]
---
kind: Journal
name: ledger-writes
service: ledger
mode: before
response: bytes
${reads}`;
  const { objects, findings } = parsePolicyFiles([{ name: "p.yaml", content }]);
  expect(findings.filter(({ severity }) => severity === "error")).toEqual([]);
  return unitsOf(objects.map(({ object }) => object)).find(({ name }) => name === "ledger");
}

const v2 = unitFrom("reads: { replica: { version: v2 } }");
const slow = unitFrom("reads: { replica: { version: v2, wait: 2s } }");
const labelled = unitFrom("reads: { replica: { labels: { role: replica } } }");
const direct = unitFrom("reads: direct");
const without = unitFrom("");

test("a service whose two revisions name different replicas is found", () => {
  expect(findReplicaChanges([{ base: v2, candidate: labelled }])).toEqual([
    { service: "ledger", base: "v2", candidate: "role=replica" },
  ]);
});

test("another wait, a revision without reads, and a unit that comes or goes are no change of the replica", () => {
  const pairs = [
    { base: v2, candidate: slow },
    { base: v2, candidate: without },
    { base: v2, candidate: direct },
    { base: direct, candidate: labelled },
    { base: without, candidate: labelled },
    { base: undefined, candidate: v2 },
    { base: v2, candidate: undefined },
  ];
  expect(findReplicaChanges(pairs)).toEqual([]);
});
