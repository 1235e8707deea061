// Which test files need more than their own process: those that start processes (NATS, a control plane, proxies, applications)
// or open sockets, themselves or through what they import from test/. `npm run check` leaves them out.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const imported = /^(?:import|export|})[^"\n]*"([^"]+)";$/gm; // what stands in a string is in no line of its own
const starters = ["control-plane/nats/nats-server.ts", "data-plane/workers/worker-process.ts"];
const packages = [
  ...["node:child_process", "node:net", "node:tls", "node:http", "node:https", "node:http2"],
  ...["@grpc/grpc-js", "nats"],
];

/** The paths, from `root`, of test files that start processes or open sockets. */
export function outsideTests(root) {
  const outside = [...packages, ...starters.map((path) => join(root, path))];
  const known = new Map();
  const needsMore = (file) => {
    const found = known.get(file);
    if (found !== undefined) return found;
    known.set(file, false); // files that import each other need nothing by that
    const text = readFileSync(file, "utf8");
    const needs = [...text.matchAll(imported)].some(([, name]) => {
      const path = name.startsWith(".") ? resolve(dirname(file), name.replace(/\.js$/, ".ts")) : name;
      if (outside.includes(path)) return true;
      return path.startsWith(join(root, "test/")) && path.endsWith(".ts") && needsMore(path);
    });
    known.set(file, needs);
    return needs;
  };
  return readdirSync(join(root, "test"), { recursive: true })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => join("test", name))
    .filter((name) => needsMore(join(root, name)))
    .sort();
}
