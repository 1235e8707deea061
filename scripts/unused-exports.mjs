// Lists exported functions, classes and constants that no other file imports: npm run unused. Exit 1 if there is any.
// Interfaces and types are left alone: they name parts of exported signatures. So are sdk/index.ts and main.ts files.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const sources = ["core", "runtime", "control-plane", "data-plane", "sdk", "cli"];
const readers = [...sources, "test", "examples", "bench"];
const isEntry = (name) => name === "sdk/index.ts" || name.endsWith("/main.ts");

const isSource = ({ name, parentPath }) => name.endsWith(".ts") && !/\/(dist|node_modules)(\/|$)/.test(parentPath);
const filesBelow = (folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && isSource(entry))
    .map((entry) => join(entry.parentPath, entry.name));

/** The imported names as "file name", or "file *" if a file is imported as a whole. */
const used = new Set();
const texts = new Map(readers.flatMap(filesBelow).map((file) => [file, readFileSync(file, "utf8")]));
for (const [file, text] of texts) {
  const target = (path) => resolve(dirname(file), path.replace(/\.js$/, ".ts"));
  for (const [, what, path] of text.matchAll(/^(?:import|export)\s+(?:type\s+)?([^;"]*?)\s+from\s+"(\.[^"]+)";/gm)) {
    if (what.startsWith("*")) used.add(`${target(path)} *`);
    for (const name of what.replace(/[{}]/g, "").split(","))
      used.add(
        `${target(path)} ${
          name
            .trim()
            .replace(/^type\s+/, "")
            .split(/\s+as\s+/)[0]
        }`,
      );
  }
  for (const [, path] of text.matchAll(/import\("(\.[^"]+)"\)/g)) used.add(`${target(path)} *`);
}

let count = 0;
for (const file of sources.flatMap(filesBelow)) {
  const name = relative(root, file);
  if (isEntry(name) || used.has(`${file} *`)) continue;
  const text = texts.get(file);
  for (const [declaration, exported] of text.matchAll(
    /^export (?:async )?(?:abstract )?(?:function\*?|class|const|let) (\w+)/gm,
  )) {
    if (used.has(`${file} ${exported}`)) continue;
    count++;
    const isUsedHere = text.match(new RegExp(`\\b${exported}\\b`, "g")).length > 1;
    const remedy = isUsedHere ? "drop the word export" : "remove it";
    console.log(`${name}: nothing imports ${declaration.replace("export ", "")}: ${remedy}`);
  }
}
process.exit(count === 0 ? 0 : 1);
