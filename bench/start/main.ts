/** What a proxy costs that has just started: until it is ready, when idle, and for its first calls (P11). */
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { cpuSecondsOf } from "../cpu-time.js";
import { numberFlag, readFlags } from "../options.js";
import {
  type Contender,
  machine,
  median,
  printTable,
  residentMegabytes,
  runLoad,
  settle,
} from "../proxy/contenders.js";
import { type BenchMesh, startMesh } from "../proxy/mesh.js";
import { type Processes, startEcho } from "../proxy/pair.js";
import { runBench } from "../proxy/run-bench.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:start -- [--rounds 3] [--calls 10000] [--settle 5] [--warm off,on]
Two fresh proxies with --warm off and on: milliseconds and CPU until a proxy says ready, RSS of both at rest, CPU of both
for each of their first calls, and what a call costs once that no longer falls.`,
  example: "npm run bench:start -- --rounds 1",
});
const rounds = numberFlag(flags, "rounds", 3);
const calls = numberFlag(flags, "calls", 10_000);
const settleSeconds = numberFlag(flags, "settle", 5);
const modes = (flags.get("warm")?.[0] ?? "off,on").split(",");
const cli = resolve(import.meta.dirname, "../../cli/main.js");
const shape = ["--connections", "8", "--streams", "32"];
const readies = 3;

interface Figures {
  readonly readyMs: number;
  readonly readyCpuMs: number;
  readonly restMb: readonly [inbound: number, outbound: number];
  readonly firstUs: number;
  readonly firstP99Us: number;
  readonly settledUs: number;
}

/**
 * Starts a separate proxy, which takes its identity from the folder if there is one. Resolves when it says that it is
 * ready.
 */
async function untilReady(
  { run }: BenchMesh,
  folder: string,
  round: number,
): Promise<{ readonly ms: number; readonly cpuMs: number }> {
  const own = join(folder, "guest");
  if (round === 0) {
    mkdirSync(own, { mode: 0o700 });
    writeFileSync(join(own, "token"), run("token", "--service", "guest", "--version", "v1"));
  }
  const startMs = performance.now();
  const args = ["--token", join(own, "token"), "--join", join(folder, "up", "join.json"), "--data", join(own, "data")];
  const child = spawn(process.execPath, [cli, "proxy", "--service", "guest", ...args, "--inbound", "127.0.0.1:0"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const ended = new Promise((done) => child.once("exit", done));
  await new Promise<void>((done, failed) => {
    child.stdout.once("data", () => done());
    child.once("exit", () => failed(new Error("a proxy ended before it was ready")));
  });
  const ms = performance.now() - startMs;
  const cpuMs = 1000 * cpuSecondsOf(child.pid ?? 0);
  child.kill("SIGTERM");
  await ended;
  return { ms, cpuMs };
}

async function measure(processes: Processes, folder: string): Promise<Figures> {
  mkdirSync(folder, { mode: 0o700 });
  const echo = await startEcho(processes);
  const mesh = await startMesh(processes, folder, echo.port, undefined);
  const starts = [];
  for (let round = 0; round <= readies; round++) starts.push(await untilReady(mesh, folder, round));
  starts.shift(); // the first start included joining
  await new Promise((wait) => setTimeout(wait, settleSeconds * 1000));
  const [inbound = 0, outbound = 0] = mesh.pids.map(residentMegabytes);
  const contender: Contender = { name: "mesh", port: mesh.port, pids: mesh.pids };
  const first = runLoad(contender, [...shape, "--calls", String(calls)]);
  const again = [...shape, "--seconds", "2"];
  settle(contender, again);
  const settled = median([0, 1, 2].map(() => runLoad(contender, again).cpuUsPerCall));
  await processes.stop();
  return {
    readyMs: median(starts.map(({ ms }) => ms)),
    readyCpuMs: median(starts.map(({ cpuMs }) => cpuMs)),
    restMb: [inbound, outbound],
    firstUs: first.cpuUsPerCall,
    firstP99Us: first.p99Us,
    settledUs: settled,
  };
}

await runBench(async (processes, folder) => {
  const all = new Map<string, Figures[]>(modes.map((mode) => [mode, []]));
  for (let round = 0; round < rounds; round++) {
    for (const mode of modes) {
      process.env.ASHLAR_WARM = mode;
      all.get(mode)?.push(await measure(processes, join(folder, `${mode}-${round}`)));
    }
  }
  console.log(`${machine()}, ${rounds} rounds, first ${calls} calls of 8x32, medians`);
  const rows = [...all].map(([mode, figures]) => {
    const of = (pick: (one: Figures) => number, digits = 0) => median(figures.map(pick)).toFixed(digits);
    const rest = `${of(({ restMb }) => restMb[0])} and ${of(({ restMb }) => restMb[1])}`;
    const [ready, cpu] = [of(({ readyMs }) => readyMs), of(({ readyCpuMs }) => readyCpuMs)];
    const [first, p99] = [of(({ firstUs }) => firstUs, 1), of(({ firstP99Us }) => firstP99Us / 1000)];
    const ratio = of(({ firstUs, settledUs }) => firstUs / settledUs, 2);
    return [mode, ready, cpu, rest, first, of(({ settledUs }) => settledUs, 1), ratio, p99];
  });
  const calling = [`first ${calls}, µs CPU a call`, "settled", "ratio", "p99 of the first, ms"];
  printTable(["--warm", "ready, ms", "CPU until ready, ms", "RSS at rest, MB", ...calling], rows);
});
