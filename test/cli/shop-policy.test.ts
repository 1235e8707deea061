/** The policy of examples/shop is what the demo says it is. */
import { resolve } from "node:path";
import { expect, test } from "@jest/globals";
import { readPolicyFiles } from "../../cli/policy-files.js";
import { checkPolicy } from "../../core/snapshot/check.js";
import { parsePolicyFiles } from "../../core/snapshot/parse-files.js";

const shop = resolve(import.meta.dirname, "../../examples/shop");

async function findingsOf(...paths: readonly string[]) {
  const files = await readPolicyFiles(
    paths.map((path) => `${shop}/${path}`),
    async () => "",
  );
  const { objects, findings } = parsePolicyFiles(files);
  const known = new Map([["inventory", new Set(["v1", "v2"])]]);
  return [...findings, ...checkPolicy(objects, { mesh: "shop", knownVersions: known })];
}

const base = ["policy/services.yaml", "policy/access.yaml", "policy/limits.yaml"];

for (const [name, paths] of [
  ["the shop's policy", ["policy"]],
  ["the shop's policy without refunds", ["policy", "policies-demo/deny-refunds.yaml"]],
  [
    "the shop's policy with the split",
    [...base, "policies-demo/deny-refunds.yaml", "policies-demo/inventory-split.yaml"],
  ],
] as const) {
  test(`${name} has no findings`, async () => {
    expect(await findingsOf(...paths)).toEqual([]);
  });
}

test("the broken file has three errors, each at its place", async () => {
  const findings = await findingsOf(...base, "policies-demo/broken.yaml");
  const errors = findings.filter(({ severity }) => severity === "error");
  expect(errors.map(({ line, field }) => [line, field]).sort()).toEqual([
    [13, "rules[0].split[0].weight"],
    [4, "service"],
    [7, "allow[0].method"],
  ]);
});
