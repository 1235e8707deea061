import { spawnSync } from "node:child_process";
import { cpus, loadavg } from "node:os";
import { resolve } from "node:path";
import { readFlags } from "./options.js";

readFlags(process.argv.slice(2), {
  text: `npm run bench
Runs every comparison of the proxies in turn, ten to twenty minutes: each contender is loaded until its cost per call
no longer falls, then measured. Nothing else should run meanwhile.`,
  example: "npm run bench",
});

const benches: readonly (readonly [string, readonly string[]])[] = [
  ["proxy", ["--shapes", "8x32,64x1,100x10,1x1", "--rounds", "3", "--seconds", "3"]],
  ["latency", ["--rounds", "3", "--seconds", "4", "--only", "HAProxy", "Envoy", "mesh"]],
  ["bulk", ["--rounds", "3", "--seconds", "4", "--only", "HAProxy", "Envoy", "mesh"]],
  ["memory", ["--settle", "10"]],
  ["convergence", ["--only", "p5", "p7", "routes", "--sizes", "20"]],
];

let failed = false;
for (const [name, args] of benches) {
  const [load = 0] = loadavg();
  console.log(`\n== bench:${name} ${args.join(" ")} (load average ${load.toFixed(1)} on ${cpus().length} cores)`);
  const program = resolve(import.meta.dirname, name, "main.js");
  if (spawnSync(process.execPath, [program, ...args], { stdio: "inherit" }).status !== 0) failed = true;
}
process.exitCode = failed ? 1 : 0;
