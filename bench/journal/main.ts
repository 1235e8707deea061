import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join, resolve } from "node:path";
import { endAfter } from "../../test/conformance/when-killed.js";
import { numberFlag, readFlags } from "../options.js";
import { machine, printTable } from "../proxy/contenders.js";
import { runBench } from "../proxy/run-bench.js";
import { type JournalMesh, startJournalMesh } from "./journal-mesh.js";
import { type Burst, burst, medianOf } from "./measure.js";
import { comparedWith, type WriteKind, writeKinds } from "./writes.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:journal -- [--quick] [--rate 300] [--rounds 2] [--seconds 2] [--warm 2] [--workers 1] [--sizes 64 4096] [--replicas 1 3]
  [--only NAME...] [--no-readers] [--profile DIR]
What a Journal adds to a write, beside an application that makes the same appends with the nats client: latency at a steady rate, CPU of
each process, and writes/s with 256 under way; on one server of NATS and on three. Then what the feed and a replay read.
--quick: one round of a second, 64 bytes, one server, no readers. --only: rows whose name begins so, for example keyed.`,
  example: "npm run bench:journal -- --quick --only keyed two",
});
const isQuick = flags.has("quick");
const rate = numberFlag(flags, "rate", 300);
const rounds = numberFlag(flags, "rounds", isQuick ? 1 : 2);
const seconds = numberFlag(flags, "seconds", isQuick ? 1 : 2);
const warmSeconds = numberFlag(flags, "warm", 2);
const workers = numberFlag(flags, "workers", 1);
const sizes = (flags.get("sizes") ?? (isQuick ? ["64"] : ["64", "4096"])).map(Number);
const servers = (flags.get("replicas") ?? (isQuick ? ["1"] : ["1", "3"])).map((text) => (text === "3" ? 3 : 1));
const only = flags.get("only");
const kinds = writeKinds.filter(({ name }) => only === undefined || only.some((begin) => name.startsWith(begin)));

/** What it is at, for whoever waits. */
let at = "starting";
const startedMs = performance.now();
function say(what: string): void {
  at = what;
  console.log(`${((performance.now() - startedMs) / 1000).toFixed(0).padStart(4)} s  ${what}`);
}
endAfter(20, () => at);

interface Row {
  readonly kind: WriteKind;
  readonly bytes: number;
  readonly steady: Burst[];
  readonly full: Burst[];
}

let seed = 0;
function load(on: JournalMesh, { kind, bytes }: Row, args: readonly (string | number)[]): Promise<Burst> {
  seed += 1;
  return burst(on, ["--path", `/bench.Echo/${kind.method}`, "--bytes", bytes, "--seed", seed, ...args]);
}

async function measure(on: JournalMesh, folder: string, rows: readonly Row[]): Promise<void> {
  const file = join(folder, "policy.yaml");
  for (let round = 1; round <= rounds; round += 1)
    for (const kind of kinds) {
      writeFileSync(file, kind.policy);
      on.mesh.run("apply", "-f", file, "--wait", "--yes");
      for (const row of rows.filter((each) => each.kind === kind)) {
        const { bytes, steady, full } = row;
        if (round === 1) await load(on, row, ["--streams", 32, "--seconds", warmSeconds]); // everything is loaded in the first calls
        const slow = await load(on, row, ["--streams", 64, "--rate", rate, "--seconds", seconds]);
        const fast = await load(on, row, ["--streams", 32, "--seconds", seconds]);
        steady.push(slow);
        full.push(fast);
        const latency = `p50 ${(slow.p50Us / 1000).toFixed(2)} ms, p99 ${(slow.p99Us / 1000).toFixed(2)} ms`;
        const cost = `${fast.cpuUsPerCall.toFixed(0)} µs a write, ${fast.callsPerSecond} writes/s`;
        const failed = slow.failed + fast.failed;
        const faults = failed === 0 ? "" : `, ${failed} failed ${JSON.stringify({ ...slow.faults, ...fast.faults })}`;
        say(`round ${round} of ${rounds}, ${bytes} B, ${kind.name}: ${latency}; ${cost}${faults}`);
      }
    }
}

function printRows(rows: readonly Row[]): void {
  const measured = rows.filter(({ full }) => full.length > 0);
  const ratio = (row: Row, of: (row: Row) => number): string => {
    const other = measured.find(
      ({ kind, bytes }) => kind.name === comparedWith.get(row.kind.name) && bytes === row.bytes,
    );
    return other === undefined ? "" : (of(row) / of(other)).toFixed(2);
  };
  const p50 = ({ steady }: Row) => medianOf(steady, ({ p50Us }) => p50Us / 1000);
  const p99 = ({ steady }: Row) => medianOf(steady, ({ p99Us }) => p99Us / 1000);
  const cpu = ({ full }: Row) => medianOf(full, ({ cpuUsPerCall }) => cpuUsPerCall);
  printTable(
    [
      "bytes",
      "write",
      "p50 ms",
      "×",
      "p99 ms",
      "×",
      "CPU µs, 256 under way",
      "×",
      "CPU µs steady",
      "writes/s",
      "failed",
    ],
    measured.map((row) => [
      ...[String(row.bytes), row.kind.name, p50(row).toFixed(2), ratio(row, p50), p99(row).toFixed(2), ratio(row, p99)],
      ...[cpu(row).toFixed(0), ratio(row, cpu), medianOf(row.steady, (one) => one.cpuUsPerCall).toFixed(0)],
      String(Math.round(medianOf(row.full, (one) => one.callsPerSecond))),
      String([...row.steady, ...row.full].reduce((sum, { failed }) => sum + failed, 0)),
    ]),
  );
  const parties = Object.keys(measured[0]?.full[0]?.cpuUs ?? {});
  console.log("\nCPU µs a write, 256 under way, by process:");
  printTable(
    ["bytes", "write", ...parties],
    measured.map(({ kind, bytes, full }) => [
      ...[String(bytes), kind.name],
      ...parties.map((party) => medianOf(full, ({ cpuUs }) => cpuUs[party] ?? 0).toFixed(0)),
    ]),
  );
}

for (const replicas of servers)
  await runBench(async (processes, dir) => {
    say(`starting a mesh on ${replicas === 1 ? "one server" : "three servers"} of NATS`);
    const on = await startJournalMesh(processes, join(dir, "mesh"), {
      replicas,
      workers,
      profile: flags.get("profile")?.[0],
    });
    const rows = kinds.flatMap((kind) => sizes.map((bytes): Row => ({ kind, bytes, steady: [], full: [] })));
    try {
      await measure(on, dir, rows);
    } finally {
      const about = `${workers} workers, ${rate} writes/s steady; ${rounds} × ${seconds} s; load average ${loadavg()[0]?.toFixed(1)}`;
      console.log(`\nR${replicas}: ${machine()}, ${about}`);
      printRows(rows);
      await on.stop();
    }
  });
if (!isQuick && !flags.has("no-readers") && only === undefined) {
  say("readers");
  const program = resolve(import.meta.dirname, "readers.js");
  spawnSync(process.execPath, [program, "--writes", "1500", "--rounds", "1"], { stdio: "inherit" });
}
process.exit(process.exitCode ?? 0);
