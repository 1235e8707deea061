/**
 * What calls of gRPC-Web and Connect cost a gateway's process, compared with Envoy with its filters and with a plain
 * gRPC call.
 */
import { type Contender, type LoadFigures, median, printTable, runLoad } from "../proxy/contenders.js";
import type { Lengths } from "./calls.js";

const kinds = ["grpc-web", "grpc-web-text", "connect"] as const;
const ways = [
  ["HTTP/2", ["--http", "2", "--connections", "16", "--streams", "4"]],
  ["HTTP/1.1", ["--connections", "64"]],
] as const;
const warmSeconds = 1;

/**
 * Measures the calls. Node's own clients make them and take most of the machine, so only CPU time per call is compared.
 */
export function measureWeb(contenders: readonly Contender[], { rounds, seconds }: Omit<Lengths, "shapes">): void {
  const rows: string[][] = [];
  for (const kind of kinds) {
    for (const [way, shape] of ways) {
      const load = (contender: Contender, length: number): LoadFigures =>
        runLoad({ ...contender, loadFlags: [] }, ["--kind", kind, ...shape, "--seconds", String(length)], "web-load");
      const figures: LoadFigures[][] = contenders.map(() => []);
      for (const contender of contenders) load(contender, warmSeconds);
      for (let round = 0; round < rounds; round++)
        contenders.forEach((contender, place) => void figures[place]?.push(load(contender, seconds)));
      contenders.forEach(({ name }, place) => {
        const own = figures[place] ?? [];
        const cpu = median(own.map(({ cpuUsPerCall }) => cpuUsPerCall)).toFixed(0);
        const rate = String(Math.round(median(own.map(({ callsPerSecond }) => callsPerSecond))));
        rows.push([kind, way, name, cpu, rate, String(own.reduce((sum, { failed }) => sum + failed, 0))]);
      });
    }
  }
  printTable(["protocol", "over", "process", "CPU µs/call (median)", "calls/s", "failed"], rows);
}
