import { numberFlag, readFlags } from "../options.js";
import {
  type LoadFigures,
  machine,
  median,
  printTable,
  runRound,
  settle,
  startContenders,
} from "../proxy/contenders.js";
import { runBench } from "../proxy/run-bench.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:latency -- [--rate 1000] [--connections 16] [--bytes 1024] [--rounds 3] [--seconds 5] [--only NAME...]
What a pair of proxies adds to a call's latency at a steady rate (P2), each peer in turn in every round.`,
  example: "npm run bench:latency -- --rate 500 --rounds 1 --only mesh",
});
const rate = numberFlag(flags, "rate", 1000);
const connections = numberFlag(flags, "connections", 16);
const bytes = numberFlag(flags, "bytes", 1024);
const rounds = numberFlag(flags, "rounds", 3);
const seconds = numberFlag(flags, "seconds", 5);

await runBench(async (processes, folder) => {
  const wanted = flags.get("only");
  const only = wanted === undefined ? undefined : ["none", ...wanted];
  const contenders = await startContenders(processes, folder, { only });
  const args = ["--rate", rate, "--connections", connections, "--streams", 100, "--bytes", bytes, "--seconds", seconds];
  // as busy as they can be, so that what is compiled while it runs is compiled before
  const busy = ["--connections", connections, "--streams", 4, "--bytes", bytes, "--seconds", 1.5].map(String);
  for (const contender of contenders) settle(contender, busy);
  const figures: LoadFigures[][] = contenders.map(() => []);
  for (let round = 0; round < rounds; round++) {
    runRound(contenders, figures, args.map(String));
  }
  console.log(
    `\n${machine()}, ${rate} calls/s on ${connections} connections, ${bytes} bytes, ${rounds} × ${seconds} s`,
  );
  const direct = figures[0] ?? [];
  const rows = contenders.map(({ name }, place) => {
    const own = figures[place] ?? [];
    const ms = (pick: (figure: LoadFigures) => number) => (median(own.map(pick)) / 1000).toFixed(3);
    const added = (pick: (figure: LoadFigures) => number) =>
      (median(own.map((figure, round) => pick(figure) - pick(direct[round] ?? figure))) / 1000).toFixed(3);
    return [
      name,
      ms(({ p50Us }) => p50Us),
      ms(({ p99Us }) => p99Us),
      place === 0 ? "" : added(({ p50Us }) => p50Us),
      place === 0 ? "" : added(({ p99Us }) => p99Us),
      median(own.map(({ cpuUsPerCall }) => cpuUsPerCall)).toFixed(1),
      String(Math.round(median(own.map(({ callsPerSecond }) => callsPerSecond)))),
      String(own.reduce((sum, { failed }) => sum + failed, 0)),
    ];
  });
  printTable(["pair", "p50 ms", "p99 ms", "added p50", "added p99", "CPU µs/call", "calls/s", "failed"], rows);
});
