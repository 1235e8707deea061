/** A fault in a bundled program is found in its source, by whoever asks Node for it with --enable-source-maps. */
import { readdirSync, readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { join } from "node:path";
import { expect, test } from "@jest/globals";

const chunks = join(import.meta.dirname, "../../dist/chunks");
const text = "an Ed25519 public key has 32 bytes"; // of core/signature.ts, which every program has

test("the place of a fault in a chunk leads to its line in the repository", () => {
  const found = readdirSync(chunks)
    .filter((name) => name.endsWith(".js"))
    .map((name) => ({ name, lines: readFileSync(join(chunks, name), "utf8").split("\n") }))
    .flatMap(({ name, lines }) => lines.map((line, row) => ({ name, last: lines.at(-1) || lines.at(-2), line, row })))
    .filter(({ line }) => line.includes(text));
  expect(found).not.toEqual([]);
  for (const { name, last, line, row } of found) {
    expect(last).toBe(`//# sourceMappingURL=${name}.map`);
    const map = new SourceMap(JSON.parse(readFileSync(join(chunks, `${name}.map`), "utf8")));
    const { originalSource, originalLine } = map.findEntry(row, line.indexOf(text)) as {
      originalSource: string;
      originalLine: number;
    };
    const source = join(chunks, originalSource);
    expect(source).toMatch(/core\/signature\.ts$/);
    expect(
      readFileSync(source, "utf8")
        .split("\n")
        .slice(originalLine - 1, originalLine + 2)
        .join("\n"),
    ).toContain(text);
  }
});
