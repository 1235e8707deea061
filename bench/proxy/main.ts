// npm run bench:proxy -- [--shapes 8x32,64x1] [--rounds 3] [--seconds 5] [--bytes 64] [--same-headers]
//   [--only NAME...] [--profile FOLDER]
// CPU per call of pairs of proxies (plain in, mutual TLS between, plain out), each peer in turn in every round.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { numberFlag, readFlags } from "../options.js";
import { writeIdentities } from "./certificates.js";
import { startMeshPair } from "./mesh.js";
import { freePort, Processes, startBarePair, startEcho, startPair, versionOf } from "./pair.js";
import { peers } from "./peers.js";

interface Contender {
  readonly name: string;
  readonly port: number;
  readonly pids: readonly number[];
  readonly figures: Map<string, Figure[]>;
}

interface Figure {
  readonly cpuUsPerCall: number;
  readonly callsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly ok: number;
  readonly failed: number;
}

const flags = readFlags(process.argv.slice(2));
const shapes = (flags.get("shapes")?.[0] ?? "8x32,64x1,1x1,100x10").split(",");
const rounds = numberFlag(flags, "rounds", 3);
const seconds = numberFlag(flags, "seconds", 5);
const bytes = numberFlag(flags, "bytes", 64);
const folder = mkdtempSync(join(tmpdir(), "ashlar-bench-"));
const processes = new Processes();

function load(contender: Contender, shape: string, lasting: number): Figure {
  const [connections, streams] = shape.split("x");
  const args = [
    "--target",
    `127.0.0.1:${contender.port}`,
    "--connections",
    connections ?? "1",
    "--streams",
    streams ?? "1",
  ];
  args.push(
    "--seconds",
    String(lasting),
    "--bytes",
    String(bytes),
    "--cpu-of",
    ...contender.pids.map(String),
    "--json",
  );
  if (flags.has("same-headers")) args.push("--same-headers");
  try {
    return JSON.parse(
      execFileSync(process.execPath, [resolve(import.meta.dirname, "../load/main.js"), ...args], { encoding: "utf8" }),
    );
  } catch (error) {
    const { stdout } = error as { readonly stdout?: string };
    if (stdout) return JSON.parse(stdout); // it ended with 1: some calls failed, and it says how many
    throw error;
  }
}

/** RSS, from /proc. */
function residentMegabytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Math.round(Number(match?.[1]) / 1024);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

function print(contenders: readonly Contender[]): void {
  console.log(
    `\n${cpus().length} × ${cpus()[0]?.model ?? "?"}, node ${process.version}, ${bytes} bytes, ${rounds} rounds of ${seconds} s`,
  );
  const base = contenders.find(({ name }) => name !== "none") ?? contenders[0];
  console.log(`| shape | pair | CPU µs/call (median) | ratio to ${base?.name} | calls/s | p50 ms | p99 ms | failed |`);
  console.log("|---|---|---|---|---|---|---|---|");
  for (const shape of shapes) {
    for (const { name, figures } of contenders) {
      const own = figures.get(shape) ?? [];
      const theirs = base?.figures.get(shape) ?? [];
      const of = (pick: (figure: Figure) => number) => median(own.map(pick));
      const ratio = median(
        own.map((figure, round) => figure.cpuUsPerCall / (theirs[round]?.cpuUsPerCall || Number.NaN)),
      );
      const columns = [
        shape,
        name,
        of((figure) => figure.cpuUsPerCall).toFixed(1),
        name === "none" ? "" : ratio.toFixed(2),
        String(Math.round(of((figure) => figure.callsPerSecond))),
        (of((figure) => figure.p50Us) / 1000).toFixed(2),
        (of((figure) => figure.p99Us) / 1000).toFixed(2),
        String(own.reduce((sum, figure) => sum + figure.failed, 0)),
      ];
      console.log(`| ${columns.join(" | ")} |`);
    }
  }
}

async function run(): Promise<void> {
  const identities = writeIdentities(folder);
  const echo = await startEcho(processes);
  const contenders: Contender[] = [{ name: "none", port: echo.port, pids: [echo.pid], figures: new Map() }];
  for (const peer of peers) {
    const version = versionOf(peer.command, peer.versionArguments);
    if (version === undefined || /not found/.test(version)) {
      console.log(`${peer.name}: not found, left out`);
      continue;
    }
    console.log(`${peer.name}: ${version}`);
    const ports = { outbound: await freePort(), inbound: await freePort(), backend: echo.port };
    const pids = await startPair(processes, peer, ports, identities, folder);
    contenders.push({ name: peer.name, port: ports.outbound, pids, figures: new Map() });
  }
  const ports = { outbound: await freePort(), inbound: await freePort(), backend: echo.port };
  const pids = await startBarePair(processes, ports, identities);
  contenders.push({ name: "bare engine", port: ports.outbound, pids, figures: new Map() });
  const mesh = await startMeshPair(processes, folder, echo.port, flags.get("profile")?.[0]);
  contenders.push({ name: "mesh", ...mesh, figures: new Map() });
  console.log(
    `mesh: at rest ${mesh.pids.map((pid) => `${residentMegabytes(pid)} MB`).join(" (inbound) and ")} (outbound)`,
  );
  const wanted = flags.get("only");
  if (wanted !== undefined)
    contenders.splice(0, contenders.length, ...contenders.filter(({ name }) => wanted.includes(name)));
  for (const contender of contenders) load(contender, "8x8", 5); // warm
  for (const shape of shapes) {
    for (let round = 0; round < rounds; round++) {
      for (const contender of contenders) {
        const all = contender.figures.get(shape) ?? [];
        all.push(load(contender, shape, seconds));
        contender.figures.set(shape, all);
      }
    }
  }
  print(contenders);
}

run()
  .catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  })
  .finally(() => {
    processes.stop();
    rmSync(folder, { recursive: true, force: true });
  });
