/** The pictures of the console that docs/console.md shows are there, are shown, and are small. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { repository } from "../support/mesh.js";

const docs = join(repository, "docs");
const named = [...readFileSync(join(docs, "console.md"), "utf8").matchAll(/!\[[^\]]+\]\(console\/([^)]+)\)/g)];
const names = named.map(([, name]) => String(name)).sort();
const there = readdirSync(join(docs, "console")).sort();

test("each picture that the page names is there, and each that is there is named (npm run pictures takes them)", () => {
  expect(names.length).toBeGreaterThan(20);
  expect(there).toEqual(names);
});

test("a picture has at most 150 kB, all of them 2 MB", () => {
  const sizes = there.map((name) => [name, statSync(join(docs, "console", name)).size] as const);
  expect(sizes.filter(([, bytes]) => bytes > 150_000)).toEqual([]);
  expect(sizes.reduce((sum, [, bytes]) => sum + bytes, 0)).toBeLessThan(2_000_000);
});
