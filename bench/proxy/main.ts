import { numberFlag, readFlags } from "../options.js";
import {
  type Contender,
  type LoadFigures,
  machine,
  median,
  printTable,
  runRound,
  settle,
  startContenders,
} from "./contenders.js";
import { runBench } from "./run-bench.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:proxy -- [--shapes 8x32,64x1] [--rounds 3] [--seconds 5] [--bytes 64] [--same-headers]
  [--only NAME...] [--workers 1,2] [--unix] [--profile FOLDER]
CPU per call of pairs of proxies (plain in, mutual TLS between, plain out), each peer in turn in every round. --only mesh mesh-traffic compares
the mesh with one whose route splits, sticks, rewrites, retries and changes headers, with outliers, breakers, locality and slow start. With --unix, client and server are reached by Unix sockets.`,
  example: "npm run bench:proxy -- --shapes 8x32 --rounds 1 --only mesh",
});
const shapes = (flags.get("shapes")?.[0] ?? "8x32,64x1,1x1,100x10").split(",");
const rounds = numberFlag(flags, "rounds", 3);
const seconds = numberFlag(flags, "seconds", 5);
const bytes = numberFlag(flags, "bytes", 64);
/** The numbers of workers of each proxy; each is measured. */
const workers = (flags.get("workers")?.[0] ?? "1").split(",").map(Number);
if (!workers.every((count) => Number.isInteger(count) && count >= 1 && count <= 64))
  throw new Error("--workers: numbers from 1 to 64, with commas between them");

/** The figures by shape, then by contender in their order, one for each round. */
type Figures = ReadonlyMap<string, readonly (readonly LoadFigures[])[]>;

function argumentsFor(shape: string, seconds: number): readonly string[] {
  const [connections = "1", streams = "1"] = shape.split("x");
  const args = ["--connections", connections, "--streams", streams, "--seconds", String(seconds)];
  args.push("--bytes", String(bytes));
  return flags.has("same-headers") ? [...args, "--same-headers"] : args;
}

function print(contenders: readonly Contender[], all: Figures): void {
  console.log(
    `\n${machine()}, ${bytes} bytes, ${rounds} rounds of ${seconds} s${flags.has("unix") ? ", Unix sockets on both plain ends" : ""}`,
  );
  const base = Math.max(
    0,
    contenders.findIndex(({ name }) => name !== "none"),
  );
  const rows: string[][] = [];
  for (const shape of shapes) {
    const figures = all.get(shape) ?? [];
    contenders.forEach(({ name }, place) => {
      const own = figures[place] ?? [];
      const of = (pick: (figure: LoadFigures) => number) => median(own.map(pick));
      const ratios = own.map(
        ({ cpuUsPerCall }, round) => cpuUsPerCall / (figures[base]?.[round]?.cpuUsPerCall ?? Number.NaN),
      );
      rows.push([
        shape,
        name,
        of((figure) => figure.cpuUsPerCall).toFixed(1),
        name === "none" ? "" : median(ratios).toFixed(2),
        String(Math.round(of((figure) => figure.callsPerSecond))),
        (of((figure) => figure.p50Us) / 1000).toFixed(2),
        (of((figure) => figure.p99Us) / 1000).toFixed(2),
        String(own.reduce((sum, { failed }) => sum + failed, 0)),
      ]);
    });
  }
  const ratio = `ratio to ${contenders[base]?.name}`;
  printTable(["shape", "pair", "CPU µs/call (median)", ratio, "calls/s", "p50 ms", "p99 ms", "failed"], rows);
}

await runBench(async (processes, folder) => {
  const only = flags.get("only");
  const contenders = await startContenders(processes, folder, {
    ...{ only, workers, unix: flags.has("unix"), profile: flags.get("profile")?.[0] },
  });
  const all = new Map<string, LoadFigures[][]>();
  for (const shape of shapes) {
    const figures: LoadFigures[][] = contenders.map(() => []);
    const bursts = contenders.map((contender) => settle(contender, argumentsFor(shape, 1.5)));
    console.log(
      `${shape}: settled after ${contenders.map(({ name }, i) => `${bursts[i]} (${name})`).join(", ")} bursts`,
    );
    for (let round = 0; round < rounds; round++) {
      runRound(contenders, figures, argumentsFor(shape, seconds));
    }
    all.set(shape, figures);
  }
  print(contenders, all);
});
