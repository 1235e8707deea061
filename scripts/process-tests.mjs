// Which test files start processes of their own (NATS, a control plane, proxies, applications): those that reach a
// starter through what they import from test/. `npm run check` leaves them out.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const imported = /^(?:import|export|})[^"\n]*"([^"]+)";$/gm; // what stands in a string is in no line of its own
const starters = ["control-plane/nats/nats-server.ts", "data-plane/workers/worker-process.ts"];

/** The paths, from `root`, of test files that start processes. */
export function processTests(root) {
  const startersHere = ["node:child_process", ...starters.map((path) => join(root, path))];
  const known = new Map();
  const startsProcesses = (file) => {
    const found = known.get(file);
    if (found !== undefined) return found;
    known.set(file, false); // files that import each other start no process by that
    const text = readFileSync(file, "utf8");
    const starts = [...text.matchAll(imported)].some(([, name]) => {
      const path = name.startsWith(".") ? resolve(dirname(file), name.replace(/\.js$/, ".ts")) : name;
      if (startersHere.includes(path)) return true;
      return path.startsWith(join(root, "test/")) && path.endsWith(".ts") && startsProcesses(path);
    });
    known.set(file, starts);
    return starts;
  };
  return readdirSync(join(root, "test"), { recursive: true })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => join("test", name))
    .filter((name) => startsProcesses(join(root, name)))
    .sort();
}
