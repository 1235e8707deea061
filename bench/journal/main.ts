import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { numberFlag, readFlags } from "../options.js";
import { type LoadFigures, machine, median, printTable, runLoad } from "../proxy/contenders.js";
import { childrenOf, meshPolicy, startMesh } from "../proxy/mesh.js";
import { freePort, untilListening } from "../proxy/pair.js";
import { runBench } from "../proxy/run-bench.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:journal -- [--rate 300] [--rounds 3] [--seconds 4] [--workers 1] [--sizes 64 4096] [--only NAME] [--profile DIR]
What a Journal adds to a write, beside an application that makes the same appends with the nats client: latency at a steady
rate, CPU of all processes (proxies, application, NATS), and writes/s with 256 under way.`,
  example: "npm run bench:journal -- --rounds 1 --sizes 64",
});
const rate = numberFlag(flags, "rate", 300);
const rounds = numberFlag(flags, "rounds", 3);
const seconds = numberFlag(flags, "seconds", 4);
const workers = numberFlag(flags, "workers", 1);
const sizes = (flags.get("sizes") ?? ["64", "4096"]).map(Number);

const methods = "[bench.Echo/Call, bench.Echo/One, bench.Echo/Two]";
const plain = meshPolicy.replaceAll("[bench.Echo/Call]", methods);
const journal = (more: string): string => `${plain}---
kind: Journal
name: echo-writes
service: echo
methods: [bench.Echo/Call]
mode: before
${more}`;
const keyed = journal('idempotencyKey: request.headers["traceparent"]\nrememberKeys: 2m\nresponse: bytes\n');
/** Name, policy, path. What the journal does beside what an application does by itself. */
const all: readonly (readonly [string, string, string])[] = [
  ["no journal", plain, "Call"],
  ["one append by the application", plain, "One"],
  ["journal, no keys (outcome afterwards)", journal("response: digest\n"), "Call"],
  ["two appends by the application", plain, "Two"],
  ["journal with keys (outcome before the answer)", keyed, "Call"],
];

const only = flags.get("only")?.[0];
const contenders = all.filter(([name]) => only === undefined || name.startsWith(only));

await runBench(async (processes, folder) => {
  const [backend, natsPort] = [await freePort(), await freePort()];
  const store = join(folder, "nats");
  mkdirSync(store);
  const nats = processes.start("nats-server", ["-js", "-sd", store, "-a", "127.0.0.1", "-p", String(natsPort)]);
  await untilListening(natsPort);
  const program = resolve(import.meta.dirname, "appending-server.js");
  const app = processes.start(process.execPath, [program, String(backend), `nats://127.0.0.1:${natsPort}`]);
  await untilListening(backend);
  const mesh = await startMesh(processes, folder, backend, { profile: flags.get("profile")?.[0], workers });
  const { pid: plane } = JSON.parse(readFileSync(join(folder, "up", "ready.json"), "utf8"));
  const pids = [...mesh.pids, ...childrenOf(plane), app.pid ?? 0, nats.pid ?? 0];
  const contender = { name: "mesh", port: mesh.port, pids };
  const found = new Map<string, { steady: LoadFigures[]; full: LoadFigures[] }>();
  let seed = 0;
  const load = (path: string, bytes: number, more: readonly (string | number)[]): LoadFigures => {
    seed += 1;
    const args = ["--path", `/bench.Echo/${path}`, "--bytes", bytes, "--seed", seed, "--connections", 8, ...more];
    return runLoad(contender, args.map(String));
  };
  for (let round = 0; round < rounds + 1; round += 1)
    for (const [name, policy, path] of contenders) {
      const file = join(folder, "policy.yaml");
      writeFileSync(file, policy);
      mesh.run("apply", "-f", file, "--wait", "--yes");
      for (const bytes of sizes) {
        if (round === 0) {
          load(path, bytes, ["--streams", 16, "--seconds", 3]); // the first calls, in which everything is loaded
          continue;
        }
        const figures = found.get(`${name} ${bytes}`) ?? { steady: [], full: [] };
        figures.steady.push(load(path, bytes, ["--streams", 64, "--rate", rate, "--seconds", seconds]));
        figures.full.push(load(path, bytes, ["--streams", 32, "--seconds", seconds]));
        found.set(`${name} ${bytes}`, figures);
      }
    }
  console.log(`\n${machine()}, ${workers} workers, ${rate} writes/s steady; ${rounds} × ${seconds} s`);
  const rows = sizes.flatMap((bytes) =>
    contenders.map(([name]) => {
      const { steady = [], full = [] } = found.get(`${name} ${bytes}`) ?? {};
      const failed = [...steady, ...full].reduce((sum, each) => sum + each.failed, 0);
      return [
        String(bytes),
        name,
        (median(steady.map(({ p50Us }) => p50Us)) / 1000).toFixed(2),
        (median(steady.map(({ p99Us }) => p99Us)) / 1000).toFixed(2),
        median(steady.map(({ cpuUsPerCall }) => cpuUsPerCall)).toFixed(0),
        median(full.map(({ cpuUsPerCall }) => cpuUsPerCall)).toFixed(0),
        String(Math.round(median(full.map(({ callsPerSecond }) => callsPerSecond)))),
        String(failed),
      ];
    }),
  );
  printTable(["bytes", "write", "p50 ms", "p99 ms", "CPU µs steady", "CPU µs full", "writes/s", "failed"], rows);
});
