import { readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "@jest/globals";

const root = resolve(import.meta.dirname, "../..");

/** What `file` imports when it is loaded: no types, and nothing that is imported later. */
function importsOf(file: string): string[] {
  const statements = /^(?:import|export)\s(?!type\s)(?:[^;"]*?from )?"([^"]+)";/gm;
  return [...readFileSync(file, "utf8").matchAll(statements)].flatMap(([, specifier = ""]) => specifier);
}

/** The packages that the program of `entry` loads at its start, each with a file that imports it. */
function packagesOf(entry: string): ReadonlyMap<string, string> {
  const packages = new Map<string, string>();
  const files = new Set([join(root, entry)]);
  for (const file of files) {
    for (const specifier of importsOf(file)) {
      if (specifier.startsWith(".")) files.add(resolve(dirname(file), specifier.replace(/\.js$/, ".ts")));
      else if (!specifier.startsWith("node:")) packages.set(specifier, relative(root, file));
    }
  }
  return packages;
}

describe("what a proxy at rest holds for good", () => {
  const known = [
    "@bufbuild/cel",
    "@bufbuild/protobuf/wire",
    "@bufbuild/re2",
    "@grpc/grpc-js",
    "@nats-io/nkeys",
    "commander",
    "nats",
    "pino",
    "prom-client/lib/cluster.js",
    "prom-client/lib/counter.js",
    "prom-client/lib/gauge.js",
    "prom-client/lib/histogram.js",
    "prom-client/lib/registry.js",
  ];

  test.each(["data-plane/main.ts", "data-plane/edge/main.ts", "data-plane/app-worker.ts"])(
    "%s loads these packages at its start, and no other",
    (entry) => {
      const more = [...packagesOf(entry)].filter(([name]) => !known.includes(name));
      // what is rare is imported where it is needed: `await import("…")`
      expect(more).toEqual([]);
    },
  );
});
