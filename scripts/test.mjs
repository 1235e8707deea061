// npm test: sets up what is missing and runs every check and test. The last line is "N passed, N failed".
//   --quick        types, lint, format, tidy, generated code, and the tests that need no process and no socket (npm run check)
//   other words    go to jest, for example: npm test -- test/core
import { execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { outsideTests } from "./outside-tests.mjs";
import { root, setUp } from "./setup.mjs";

const words = process.argv.slice(2).filter((word) => word !== "--quick");
const quick = process.argv.includes("--quick");
const totals = { passed: 0, failed: 0 };

function node(label, args) {
  const start = Date.now();
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: root, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      totals[error === null ? "passed" : "failed"] += 1;
      console.log(`${error === null ? "ok  " : "FAIL"} ${label} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
      if (error !== null) console.log(`${stdout}${stderr}`.trimEnd());
      resolve();
    });
  });
}

/**
 * Runs all checks at once and beside the tests, because each mostly waits for files or starts. They read generated
 * code.
 */
async function runChecks() {
  await Promise.all([
    node("types", ["node_modules/typescript/bin/tsc", "-p", "tsconfig.json"]),
    node("types of the console", ["node_modules/typescript/bin/tsc", "-p", "console/tsconfig.json"]),
    node("lint and format", ["node_modules/@biomejs/biome/bin/biome", "check", "."]),
    node("proto lint", ["node_modules/@bufbuild/buf/bin/buf", "lint"]),
    node("tidy", ["scripts/tidy.mjs"]),
    node("unused exports", ["scripts/unused-exports.mjs"]),
  ]);
}

/** Runs the checks of a whole mesh from outside, beside the tests. The quick form mostly waits and judges no speed. */
async function runConformance() {
  const start = Date.now();
  const args = ["dist/test/conformance/main.js", "--quick"];
  const done = await new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: root, maxBuffer: 1 << 26 }, (error, stdout, stderr) =>
      resolve({ ok: error === null, stdout, stderr }),
    );
  });
  const [, passed, all] = /^(\d+) of (\d+) checks passed$/m.exec(done.stdout) ?? [];
  const seconds = ((Date.now() - start) / 1000).toFixed(1);
  console.log(`${done.ok ? "ok  " : "FAIL"} conformance, ${passed ?? 0} of ${all ?? "?"} (${seconds} s)`);
  totals.passed += Number(passed ?? 0);
  if (done.ok && passed === all && Number(all) > 0) return;
  totals.failed += Math.max(1, Number(all ?? 0) - Number(passed ?? 0));
  const rows = done.stdout.split("\n").filter((line) => line.includes("| FAIL |"));
  console.log([...rows, done.stderr.trimEnd()].filter((line) => line !== "").join("\n"));
}

/** The number of test workers: one more than there are cores, since tests that start processes mostly wait. */
const workers = Math.min(availableParallelism(), 4) + 1;

async function runJest() {
  const folder = mkdtempSync(join(tmpdir(), "ashlar-jest-"));
  const report = join(folder, "report.json");
  const args = [
    "--experimental-vm-modules",
    "--no-warnings",
    "node_modules/jest/bin/jest.js",
    "--json",
    `--outputFile=${report}`,
    `--maxWorkers=${workers}`,
  ];
  if (quick)
    args.push("--testPathIgnorePatterns", ...outsideTests(root).map((path) => `/${path.replaceAll(".", "\\.")}$`));
  const env = quick ? { ...process.env, QUICK_TESTS: "1" } : process.env;
  const stdio = ["ignore", "ignore", "inherit"];
  const jest = spawn(process.execPath, [...args, ...words], { cwd: root, env, stdio });
  const status = await new Promise((resolve) => jest.on("close", resolve));
  try {
    const result = JSON.parse(readFileSync(report, "utf8"));
    const before = totals.failed;
    totals.passed += result.numPassedTests;
    totals.failed += result.numFailedTests;
    const broken = result.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0);
    totals.failed += broken.length; // files that could not even be loaded
    if (result.numTotalTests === 0) throw new Error("jest ran no test");
    if (status !== 0 && totals.failed === before) throw new Error(`jest exited with ${status}`);
  } catch (error) {
    totals.failed += 1;
    console.log(`FAIL jest: ${error.message}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

setUp({ forTests: !quick });
if (words.length === 0) await node("generated code is fresh", ["scripts/generate.mjs", "--check"]);
await Promise.all([
  words.length === 0 ? runChecks() : undefined,
  words.length === 0 && !quick ? runConformance() : undefined,
  runJest(),
]);
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exit(totals.failed === 0 ? 0 : 1);
