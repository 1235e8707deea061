/** What a plain gRPC call costs a gateway's process, compared with the inbound proxy of a pair (P1) in the same run. */
import {
  type Contender,
  type LoadFigures,
  median,
  printTable,
  runLoad,
  runRound,
  settle,
} from "../proxy/contenders.js";

export interface Lengths {
  readonly rounds: number;
  readonly seconds: number;
  readonly shapes: readonly string[];
}

const warm = ["--connections", "8", "--streams", "8", "--calls", "60000", "--seconds", "12"];

function flagsOf(shape: string, seconds: number): readonly string[] {
  const [connections = "1", streams = "1"] = shape.split("x");
  return ["--connections", connections, "--streams", streams, "--seconds", String(seconds)];
}

/** Loads each contender in turn. The others are compared with the first. */
export function measureCalls(contenders: readonly Contender[], { rounds, seconds, shapes }: Lengths): void {
  for (const contender of contenders) runLoad(contender, warm);
  const rows: string[][] = [];
  for (const shape of shapes) {
    const figures: LoadFigures[][] = contenders.map(() => []);
    for (const contender of contenders) settle(contender, flagsOf(shape, 1));
    for (let round = 0; round < rounds; round++) runRound(contenders, figures, flagsOf(shape, seconds));
    contenders.forEach(({ name }, place) => {
      const own = figures[place] ?? [];
      const ratios = own.map(
        ({ cpuUsPerCall }, round) => cpuUsPerCall / (figures[0]?.[round]?.cpuUsPerCall ?? Number.NaN),
      );
      rows.push([
        ...[shape, name, median(own.map(({ cpuUsPerCall }) => cpuUsPerCall)).toFixed(1), median(ratios).toFixed(2)],
        String(Math.round(median(own.map(({ callsPerSecond }) => callsPerSecond)))),
        (median(own.map(({ p99Us }) => p99Us)) / 1000).toFixed(1),
        String(own.reduce((sum, { failed }) => sum + failed, 0)),
      ]);
    });
  }
  const ratio = `ratio to ${contenders[0]?.name}`;
  printTable(["shape", "process", "CPU µs/call (median)", ratio, "calls/s", "p99 ms", "failed"], rows);
}
