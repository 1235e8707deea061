import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";

const script = join(process.cwd(), "scripts/dependencies.mjs");
const { checkDependencies } = (await import(script)) as {
  checkDependencies(root: string): readonly (readonly [string, number, string])[];
};

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "ashlar-dependencies-"));
  const jestConfig = { transform: { ts: "@tools/transform" } };
  write("package.json", JSON.stringify({ name: "ashlar", dependencies: { used: "1" }, devDependencies: {} }));
  write("sdk/package.json", JSON.stringify({ name: "ashlar-sdk", dependencies: {} }));
  write("jest.config.json", JSON.stringify(jestConfig));
  for (const name of ["biome.json", "buf.gen.yaml", "tsconfig.json"]) write(name, "{}");
  write("core/a.ts", 'import { one } from "used/deep";\nimport { join } from "node:path";\nimport "./b.js";\n');
});
afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

/** Declares these in package.json, beside "used". */
function declare(dependencies: readonly string[], devDependencies: readonly string[]): void {
  const versions = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, "1"]));
  const manifest = { dependencies: versions(["used", ...dependencies]), devDependencies: versions(devDependencies) };
  write("package.json", JSON.stringify({ name: "ashlar", ...manifest }));
}

const problems = (): readonly string[] =>
  checkDependencies(root).map(([file, , message]) => `${relative(root, file)} ${message.split(":")[0]}`);

test("a tree that declares what it imports has no problem", () => {
  declare([], ["@tools/transform", "oracle"]);
  write("test/a.test.ts", 'import { oracle } from "oracle";\nimport { one } from "used";\n');
  expect(problems()).toEqual([]);
});

test("product code may not import what only devDependencies have, nor what nobody declares", () => {
  declare([], ["oracle"]);
  const lazy = ["import", '("@lazy/one/deep.js")'].join(""); // in one piece it would be an import of this file's
  write("runtime/a.ts", `import { oracle } from "oracle";\nconst lazy = await ${lazy};\n`);
  expect(problems()).toEqual([
    'runtime/a.ts imports oracle, which "dependencies" of package.json do not have',
    'runtime/a.ts imports @lazy/one, which "dependencies" of package.json do not have',
    'package.json "devDependencies" have oracle, which nothing imports or runs',
  ]);
});

test("tests may import declared packages only", () => {
  write("test/a.mjs", 'import transitive from "transitive";\n');
  expect(problems()).toEqual(["test/a.mjs imports transitive, which package.json does not have"]);
});

test("a dependency that only tests import is not one of the product", () => {
  declare(["oracle"], []);
  write("test/a.test.ts", 'import { oracle } from "oracle";\n');
  expect(problems()).toEqual(['package.json "dependencies" have oracle, which no product code imports']);
});

test("a dependency for development that nothing names is refused", () => {
  declare([], ["idle", "@types/node"]);
  expect(problems()).toEqual([
    'package.json "devDependencies" have idle, which nothing imports or runs',
    'package.json "devDependencies" have @types/node, which nothing imports or runs',
  ]);
});

test("the SDK declares what it imports, and what the shared code imports that is compiled into it", () => {
  write("sdk/index.ts", 'import { a } from "../core/a.js";\n');
  expect(problems()).toEqual(["core/a.ts is part of the SDK and imports used, which sdk/package.json does not have"]);
  write("sdk/package.json", JSON.stringify({ name: "ashlar-sdk", peerDependencies: { used: "1", other: "1" } }));
  expect(problems()).toEqual(["sdk/package.json declares other, which the SDK does not import"]);
});
