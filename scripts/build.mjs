// Builds dist (the product) and sdk/dist: the package ashlar-sdk as ES modules and as CommonJS, each with its types and
// with the few files of core, runtime and proto that the SDK imports; console/dist (the pages of the console).
//   --sdk        sdk/dist only
//   --all        fails where a part cannot be built
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");

function run(script, ...words) {
  execFileSync(process.execPath, [join(root, script), ...words], { cwd: root, stdio: "inherit" });
}
// by its path: the older compiler that tests of the SDK's types use has a command of the same name
const compile = (project) => run("node_modules/typescript/bin/tsc", "-p", project);

function buildProduct() {
  compile("tsconfig.build.json");
  chmodSync(join(root, "dist/cli/main.js"), 0o755);
  bundle();
}

/**
 * Bundles the programs. A tree with fewer packages than package.json names skips this, but a release must have them
 * all.
 */
function bundle() {
  if (existsSync(join(root, "node_modules/esbuild")) || process.argv.includes("--all")) {
    run("scripts/bundle.mjs");
    run("scripts/build-console.mjs");
    return;
  }
  console.error(
    "build: the package esbuild is not installed: programs take more memory, and the console has no pages.",
  );
  console.error("build: run npm ci");
}

function buildSdk() {
  const dist = join(root, "sdk/dist");
  rmSync(dist, { recursive: true, force: true });
  compile("sdk/tsconfig.json");
  compile("sdk/tsconfig.cjs.json");
  // sdk/package.json says "module"; below this folder Node and compilers are told otherwise
  writeFileSync(join(dist, "cjs/package.json"), `${JSON.stringify({ type: "commonjs" })}\n`);
}

try {
  run("scripts/generate.mjs");
  if (!process.argv.includes("--sdk")) buildProduct();
  buildSdk();
} catch (error) {
  process.exit(error.status || 1); // the compiler has printed the reason
}
