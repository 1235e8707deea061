/** The built files: what a proxy imports long after its start is still there once another version was installed over it. */
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "@jest/globals";
import { repository } from "../support/processes.js";

const dist = join(repository, "dist");
/** What a process imports before it is ready, or never. */
const atStart = /^chunks\/(app-worker|open-listeners|edge-admission|grpc-reflection|warm-up)-/;

/** Paths of all files that `entry` imports, and of those that they import at times. */
function importsOf(entry: string) {
  const known = new Set<string>();
  const late = new Set<string>();
  const visit = (path: string): void => {
    if (known.has(path)) return;
    known.add(path);
    const code = readFileSync(path, "utf8");
    for (const [, name] of code.matchAll(/(?:from|import)"(\.[^"]+)"/g)) visit(join(dirname(path), name ?? ""));
    for (const [, name] of code.matchAll(/import\("(\.[^"]+)"\)/g)) late.add(join(dirname(path), name ?? ""));
  };
  visit(join(dist, entry));
  return { known, late: [...late].map((path) => relative(dist, path)) };
}

test.each(["data-plane/main.js", "data-plane/edge/main.js", "data-plane/workers/main.js"])(
  "%s imports nothing late whose name is of one build",
  (entry) => {
    const { known, late } = importsOf(entry);
    expect(known.size).toBeGreaterThan(1);
    expect(late.filter((path) => path.startsWith("chunks/") && !atStart.test(path))).toEqual([]);
  },
);

test("the module for renewals, which is loaded first after an hour, keeps its address", () => {
  expect(importsOf("data-plane/main.js").late).toContain("runtime/tls-identity-request.js");
});
