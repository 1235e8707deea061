// Sets up what is missing, once: packages, the build, nats-server. Plain Node, so that it runs before any of them.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";

export const root = resolve(import.meta.dirname, "..");
const nodeFloor = [20, 19];

/** Prints one line and exits with 1, for problems that only the user can solve. */
function giveUp(line) {
  console.error(line);
  process.exit(1);
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > nodeFloor[0] || (major === nodeFloor[0] && minor >= nodeFloor[1])) return;
  giveUp(`Ashlar needs Node ${nodeFloor.join(".")} or newer, this is ${process.versions.node}`);
}

/** Returns the path of a program on PATH, or undefined. */
export function findProgram(name) {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const path = join(folder, name);
    if (folder !== "" && existsSync(path) && statSync(path).isFile()) return path;
  }
  return undefined;
}

function digestOfFiles(paths) {
  const hash = createHash("sha256");
  for (const path of paths) hash.update(path.slice(root.length)).update("\0").update(readFileSync(path)).update("\0");
  return hash.digest("hex");
}

/** Runs `work` unless the stamp says that it was done for the same `digest`. */
function once(stampPath, digest, what, work) {
  if (existsSync(stampPath) && readFileSync(stampPath, "utf8") === digest) return;
  console.error(`setup: ${what}`);
  work();
  mkdirSync(resolve(stampPath, ".."), { recursive: true });
  writeFileSync(stampPath, digest);
}

function installPackages() {
  const digest = digestOfFiles([join(root, "package-lock.json")]);
  once(join(root, "node_modules/.ashlar-installed"), digest, "installing packages (npm ci)", () => {
    const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: root,
      stdio: ["ignore", 2, 2],
    });
    if (npm.status !== 0) giveUp("npm ci failed: see above; it needs the npm registry to be reachable");
  });
}

const sourceFolders = [
  "proto/ashlar",
  "core",
  "runtime",
  "control-plane",
  "data-plane",
  "sdk",
  "cli",
  "console",
  "examples",
  "bench",
  "test/conformance",
  "test/support",
];

function sourceFiles() {
  const files = [
    "tsconfig.base.json",
    "tsconfig.build.json",
    "buf.gen.yaml",
    "package.json",
    "package-lock.json",
    "scripts/build.mjs",
    "scripts/build-console.mjs",
  ].map((name) => join(root, name));
  for (const folder of sourceFolders) {
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      const file = join(entry.parentPath, entry.name);
      const built = ["sdk/dist/", "console/dist/"].some((folder) => file.startsWith(join(root, folder)));
      if (entry.isFile() && !built) files.push(file);
    }
  }
  return files.sort();
}

function build() {
  if (!existsSync(join(root, "sdk/dist")) || !existsSync(join(root, "console/dist")))
    rmSync(join(root, "dist/.ashlar-built"), { force: true });
  once(join(root, "dist/.ashlar-built"), digestOfFiles(sourceFiles()), "building (npm run build)", () => {
    const npm = spawnSync("npm", ["run", "-s", "build"], { cwd: root, stdio: ["ignore", 2, 2] });
    if (npm.status !== 0) giveUp("the build failed: see above");
  });
}

/** Installs system packages if that is possible without a question. Returns whether it worked. */
function installSystemPackages(packages) {
  const quiet = { stdio: "ignore" };
  const sudo = process.getuid?.() === 0 ? [] : ["sudo", "-n"];
  const run = (...words) => spawnSync(words[0], words.slice(1), quiet).status === 0;
  if (findProgram("apt-get") && (sudo.length === 0 || (findProgram("sudo") && run("sudo", "-n", "true")))) {
    const environment = [...sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
    run(...environment, "-qq", "update");
    return run(...environment, "-qq", "-y", "--no-install-recommends", "install", ...packages);
  }
  return findProgram("brew") !== undefined && run("brew", "install", ...packages);
}

function ensureNatsServer() {
  if (findProgram("nats-server")) return;
  console.error("setup: installing nats-server through the system's package manager");
  if (installSystemPackages(["nats-server"]) && findProgram("nats-server")) return;
  giveUp(
    "nats-server (2.9 or newer) is not on PATH: install it (Debian, Ubuntu: apt-get install nats-server; macOS: brew install nats-server) and run this again",
  );
}

/** Installs a Python gRPC client for the tests. Without it, tests that need it are skipped and say so. */
function offerPython() {
  const python = existsSync("/usr/bin/python3") ? "/usr/bin/python3" : "python3";
  if (spawnSync(python, ["-c", "import grpc, grpc_tools"], { stdio: "ignore" }).status === 0) return;
  if (findProgram("apt-get") === undefined) return;
  console.error("setup: installing python3-grpcio for the tests with a client of another language");
  installSystemPackages(["python3-grpcio", "python3-grpc-tools"]);
}

const newestNats = join(root, ".ashlar/bin/nats-server");
const dayMs = 86_400_000;

/** Builds the newest nats-server from its Go module if Go is installed: NATS tests run on it too. */
function offerNewestNats() {
  if (process.env.NATS_SERVER_NEWEST !== undefined || existsSync(newestNats)) return;
  const note = "tests of NATS run on the nats-server of the PATH alone (NATS_SERVER_NEWEST may name another)";
  const folder = resolve(newestNats, "..");
  const tried = join(folder, ".tried"); // without a network, it is not tried again in each run
  if (existsSync(tried) && Date.now() - statSync(tried).mtimeMs < dayMs) return;
  if (findProgram("go") === undefined) return void console.error(`setup: there is no Go: ${note}`);
  console.error("setup: building the newest nats-server for the tests (go install)");
  mkdirSync(folder, { recursive: true });
  writeFileSync(tried, "");
  const go = spawnSync("go", ["install", "github.com/nats-io/nats-server/v2@latest"], {
    env: { ...process.env, GOBIN: folder },
    stdio: ["ignore", "ignore", "pipe"],
    encoding: "utf8",
    timeout: 600_000,
  });
  if (!existsSync(newestNats))
    console.error(`setup: the newest nats-server was not built (${go.stderr.trim().split("\n").at(-1)}): ${note}`);
}

/** Sets up everything that `npm start` and `npm test` need. */
export function setUp({ forTests = false } = {}) {
  checkNode();
  installPackages();
  build();
  ensureNatsServer();
  if (!forTests) return;
  offerPython();
  offerNewestNats();
}

if (process.argv[1] === import.meta.filename) setUp({ forTests: process.argv.includes("--tests") });
