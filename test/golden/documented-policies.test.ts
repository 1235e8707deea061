/** The policies that the docs show are policies: nobody copies one that is refused. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "@jest/globals";
import { parsePolicyFiles } from "../../core/snapshot/parse-files.js";

const docs = resolve(import.meta.dirname, "../../docs");
const shown = readdirSync(docs)
  .filter((name) => name.endsWith(".md"))
  .flatMap((name) => {
    const blocks = readFileSync(join(docs, name), "utf8").matchAll(/^```yaml\n([\s\S]*?)^```/gm);
    const policies = [...blocks].map(([, content = ""]) => content).filter((content) => /^kind: /m.test(content));
    return policies.map((content, index) => [name, index + 1, content] as const);
  });

test.each(shown)("%s, example %i", (name, _, content) => {
  const { findings } = parsePolicyFiles([{ name, content }]);
  expect(findings.filter(({ severity }) => severity === "error")).toEqual([]);
});
