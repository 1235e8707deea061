import { readFileSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join, resolve } from "node:path";
import { cpuSecondsOf } from "../cpu-time.js";
import { numberFlag, readFlags } from "../options.js";
import { writeIdentities } from "../proxy/certificates.js";
import { machine, printTable } from "../proxy/contenders.js";
import { startMesh } from "../proxy/mesh.js";
import { Processes, startEcho } from "../proxy/pair.js";
import { runBench } from "../proxy/run-bench.js";
import { frameFloods } from "./frame-floods.js";
import { edgePolicy, startGateway } from "./gateway.js";
import { probe, type Seen } from "./probe.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:edge -- [--seconds 8] [--only FLOOD...]
What clients of one listener of a gateway see while another listener is flooded with handshakes, connections, calls,
bytes, or frames that are cheap to send: with and without limits of the flooded listener, and, as the measure of what the flood costs the machine itself, while
a gateway of its own is flooded.`,
  example: "npm run bench:edge -- --seconds 5 --only handshakes",
});
const seconds = numberFlag(flags, "seconds", 8);
const only = flags.get("only") ?? [];
const warmMs = 2000;
/** The kinds of floods. */
const floods = ["handshakes", "connections", "calls", "bytes", ...Object.keys(frameFloods)];

/** Returns the smallest value that at least `percent` percent of all values do not exceed. */
function percentile(values: readonly number[], percent: number): string {
  const sorted = [...values].sort((a, b) => a - b);
  const found = sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))];
  return found === undefined ? "-" : found.toFixed(1);
}

function row(flood: string, at: string, { calls, connections, failed }: Seen, cpuShare: number): string[] {
  const asked = calls.length + connections.length + failed;
  const times = [calls, connections].flatMap((took) => [percentile(took, 50), percentile(took, 99)]);
  return [flood, at, ...times, `${failed} of ${asked}`, `${Math.round(cpuShare * 100)} %`];
}

await runBench(async (processes, folder) => {
  const echo = await startEcho(processes);
  const mesh = await startMesh(processes, folder, echo.port, undefined);
  const file = join(folder, "edge.yaml");
  writeFileSync(file, edgePolicy);
  mesh.run("apply", "-f", file, "--wait");
  const identities = writeIdentities(folder);
  const start = (name: string, ...listeners: readonly string[]) =>
    startGateway(processes, folder, mesh, identities.server, name, listeners);
  const gateway = await start("public", "probed", "free", "limited");
  const other = await start("other", "free");
  const ca = readFileSync(identities.ca, "utf8");
  const measure = async (): Promise<{ readonly seen: Seen; readonly cpuShare: number }> => {
    const [cpu, from] = [cpuSecondsOf(gateway.pid), performance.now()];
    const seen = await probe(gateway.ports.probed ?? 0, ca, seconds);
    return { seen, cpuShare: (cpuSecondsOf(gateway.pid) - cpu) / ((performance.now() - from) / 1000) };
  };
  await measure(); // until V8 has compiled the code
  const still = await measure();
  const rows = [row("none", "-", still.seen, still.cpuShare)];
  const aims = [
    ["another gateway", other.ports.free],
    ["a listener without limits", gateway.ports.free],
    ["a listener with limits", gateway.ports.limited],
  ] as const;
  for (const flood of floods.filter((one) => only.length === 0 || only.includes(one)))
    for (const [at, port] of aims) {
      const flooding = new Processes();
      try {
        flooding.start(process.execPath, [resolve(import.meta.dirname, "flood.js"), flood, String(port)]);
        await new Promise((wait) => setTimeout(wait, warmMs));
        const { seen, cpuShare } = await measure();
        rows.push(row(flood, at, seen, cpuShare));
      } finally {
        await flooding.stop();
      }
    }
  console.log(`\n${machine()}, load average ${loadavg()[0]?.toFixed(1)}; milliseconds, ${seconds} s a row`);
  printTable(["flood", "at", "call p50", "p99", "connect p50", "p99", "failed", "CPU"], rows);
});
