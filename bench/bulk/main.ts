import { numberFlag, readFlags } from "../options.js";
import {
  type Contender,
  type LoadFigures,
  machine,
  median,
  printTable,
  residentMegabytes,
  runRound,
  startContenders,
} from "../proxy/contenders.js";
import { runBench } from "../proxy/run-bench.js";
import { stallStreams, windowBytes } from "./stalled-streams.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:bulk -- [--bytes 1048576] [--shape 4x4] [--rounds 3] [--seconds 5] [--stalled 200] [--only NAME...]
Large answers: how much a CPU second of a pair carries (P3); then what a stream holds whose caller takes nothing.`,
  example: "npm run bench:bulk -- --rounds 1 --seconds 2 --only mesh",
});
const bytes = numberFlag(flags, "bytes", 1 << 20);
const [connections = "4", streams = "4"] = (flags.get("shape")?.[0] ?? "4x4").split("x");
const rounds = numberFlag(flags, "rounds", 3);
const seconds = numberFlag(flags, "seconds", 5);
const stalled = numberFlag(flags, "stalled", 200);

const mebibytesPerCall = bytes / (1 << 20);

function printThroughput(contenders: readonly Contender[], figures: readonly (readonly LoadFigures[])[]): void {
  console.log(`\n${machine()}, answers of ${bytes} bytes, ${connections}x${streams}, ${rounds} rounds of ${seconds} s`);
  const perCpuSecond = ({ cpuUsPerCall }: LoadFigures) => (mebibytesPerCall * 1e6) / cpuUsPerCall;
  const base = contenders[1]?.name === undefined ? 0 : 1;
  const rows = contenders.map(({ name }, place) => {
    const own = figures[place] ?? [];
    const ratios = own.map((figure, round) => perCpuSecond(figure) / perCpuSecond(figures[base]?.[round] ?? figure));
    return [
      name,
      median(own.map(perCpuSecond)).toFixed(0),
      name === "none" ? "" : median(ratios).toFixed(2),
      (median(own.map(({ callsPerSecond }) => callsPerSecond)) * mebibytesPerCall).toFixed(0),
      String(own.reduce((sum, { failed }) => sum + failed, 0)),
    ];
  });
  printTable(["pair", "MiB per CPU s", `ratio to ${contenders[base]?.name}`, "MiB/s", "failed"], rows);
}

async function printStalled({ port, pids }: Contender): Promise<void> {
  const before = pids.map(residentMegabytes);
  const { held, release } = await stallStreams(port, stalled);
  const rows = pids.map((pid, place) => {
    const megabytes = residentMegabytes(pid) - (before[place] ?? 0);
    const kib = ((megabytes * 1024) / stalled).toFixed(1);
    return [place === 0 ? "inbound" : "outbound", String(before[place]), String(megabytes), kib];
  });
  release();
  console.log(
    `\n${stalled} streams whose caller has taken ${held} bytes of each and takes no more; window ${windowBytes / 1024} KiB`,
  );
  printTable(["proxy", "RSS MB before", "more MB", "KiB a stream"], rows);
}

await runBench(async (processes, folder) => {
  const wanted = flags.get("only");
  const only = wanted === undefined ? ["none", "HAProxy", "nginx", "bare engine", "mesh"] : ["none", ...wanted];
  const contenders = await startContenders(processes, folder, { only, answerBytes: bytes });
  const args = ["--connections", connections, "--streams", streams, "--answer", bytes, "--seconds", seconds].map(
    String,
  );
  const figures: LoadFigures[][] = contenders.map(() => []);
  const mesh = contenders.find(({ name }) => name === "mesh");
  if (mesh !== undefined && stalled > 0) await printStalled(mesh);
  for (let round = 0; round < rounds; round++) {
    runRound(contenders, figures, args);
  }
  printThroughput(contenders, figures);
});
