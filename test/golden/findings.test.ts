import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { checkPolicy } from "../../core/snapshot/check.js";
import { parsePolicyFiles } from "../../core/snapshot/parse-files.js";

const folder = join("test", "golden", "findings");

/** The files end in .in so that no formatter and no editor mends what is wrong in them. */
const inputEnd = ".yaml.in";

/** What an operator gets to read about a file; UPDATE_GOLDEN=1 writes it anew. */
function renderFindings(input: string): string {
  const content = readFileSync(join(folder, input), "utf8");
  const name = input.replace(/\.in$/, "");
  const { objects, findings } = parsePolicyFiles([{ name, content }]);
  const knownVersions = new Map([["inventory", new Set(["v1", "v2"])]]);
  return [...findings, ...checkPolicy(objects, { mesh: "demo", knownVersions, hasJournalHolder: false })]
    .map(
      ({ severity, file, line, column, field, message }) =>
        `${file}:${line}:${column}: ${severity}: ${field === "" ? "" : `${field}: `}${message}\n`,
    )
    .join("");
}

describe("findings read well", () => {
  const names = readdirSync(folder).filter((name) => name.endsWith(inputEnd));
  test.each(names)("in %s", (name) => {
    const golden = join(folder, name.replace(inputEnd, ".txt"));
    const found = renderFindings(name);
    if (process.env.UPDATE_GOLDEN === "1") writeFileSync(golden, found);
    expect(found).toBe(readFileSync(golden, "utf8"));
  });
});
