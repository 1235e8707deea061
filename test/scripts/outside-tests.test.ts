import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";

const script = join(process.cwd(), "scripts/outside-tests.mjs");
const { outsideTests } = (await import(script)) as { outsideTests(root: string): readonly string[] };

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "ashlar-outside-tests-"));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

test("a test that starts a process or opens a socket, by itself or through what it imports, is one; others are not", () => {
  write("test/support/nats.ts", 'import { startNatsServer } from "../../control-plane/nats/nats-server.js";\n');
  write("test/support/world.ts", 'import {\n  a,\n} from "./nats.js";\nimport "./until.js";\n');
  write("test/support/until.ts", 'export * from "./world-of-none.js";\n');
  write("test/support/world-of-none.ts", 'import { until } from "./until.js";\n');
  write("test/a/spawns.test.ts", 'import { spawn } from "node:child_process";\n');
  write("test/a/has-nats.test.ts", 'import { world } from "../support/world.js";\n');
  write("test/a/waits.test.ts", 'import { until } from "../support/until.js";\nimport { x } from "../../core/x.js";\n');
  write("test/a/writes.test.ts", 'const text = `\nimport { spawn } from "node:child_process" `;\n');
  write("test/a/listens.test.ts", 'import {\n  createServer,\n} from "node:net";\n');
  expect(outsideTests(root)).toEqual(["test/a/has-nats.test.ts", "test/a/listens.test.ts", "test/a/spawns.test.ts"]);
});

test("of this repository, every end-to-end test is one, and no test of the pure code", () => {
  const found = outsideTests(process.cwd());
  expect(found.filter((path) => path.startsWith("test/e2e/")).length).toBeGreaterThan(50);
  for (const path of [
    "contract/ledger-jetstream",
    "data-plane/proxy/forwarding",
    "runtime/grpc-server",
    "cli/commands",
  ])
    expect(found).toContain(`test/${path}.test.ts`);
  expect(found.filter((path) => /^test\/(core|golden\/settings|property)\//.test(path))).toEqual([]);
});
