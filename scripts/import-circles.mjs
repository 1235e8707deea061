// Finds import circles: files that import each other, types included, so that none can be read without the others.
import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** Returns the files that a file imports, as far as they exist. */
function importsOf(file) {
  const found = [];
  for (const match of readFileSync(file, "utf8").matchAll(/^(?:import|export)[^;]*?from "(\.[^"]+)";/gm)) {
    for (const ending of [".ts", ".tsx"]) {
      const target = resolve(dirname(file), match[1].replace(/\.js$/, ending));
      if (existsSync(target)) found.push(target);
    }
  }
  return found;
}

/** Returns the strongly connected components of more than one file (Tarjan's algorithm). */
export function findCircles(files) {
  const imports = new Map(files.map((file) => [file, importsOf(file)]));
  const index = new Map();
  const low = new Map();
  const stack = [];
  const open = new Set();
  const circles = [];
  const visit = (file) => {
    index.set(file, index.size);
    low.set(file, index.get(file));
    stack.push(file);
    open.add(file);
    for (const next of imports.get(file) ?? []) {
      if (!imports.has(next)) continue;
      if (!index.has(next)) visit(next);
      if (open.has(next)) low.set(file, Math.min(low.get(file), low.get(next)));
    }
    if (low.get(file) !== index.get(file)) return;
    const circle = [];
    let last;
    do {
      last = stack.pop();
      open.delete(last);
      circle.push(last);
    } while (last !== file);
    if (circle.length > 1) circles.push(circle);
  };
  for (const file of files) if (!index.has(file)) visit(file);
  return circles;
}
