import { type ChildProcess, spawn } from "node:child_process";
import { join, resolve } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { numberFlag, readFlags } from "../options.js";
import { machine, median, printTable } from "../proxy/contenders.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:calls -- [--shapes 8x32,64x1] [--bursts 60] [--calls 5000] [--against DIST] [--mesh-only] [--same-headers] [--telemetry] [--see] [--traffic] [--tap]
What a call costs in our own code: a client, both proxies and a server in one process, on sockets that are memory, so
that neither kernel nor TLS nor another process has a part in it. With --against each burst is made in turn by this
build and by the one in that folder. With --telemetry proxies with traces and the access log are measured beside: once
while policy asks for nothing, once with 1 % traces and refusals logged. With --see the first row is a mesh that counts, records and
traces nothing, and another one has metrics, 1 % records and 1 % traces. With --traffic, one whose route splits, sticks, rewrites,
retries and changes headers, with outliers, circuit breakers, locality and slow start. With --tap nothing but three meshes: nobody taps,
another service is tapped, the called one is.`,
  example: "npm run bench:calls -- --shapes 8x32 --bursts 5",
});
const shapes = (flags.get("shapes")?.[0] ?? "8x32,64x1").split(",");
const bursts = numberFlag(flags, "bursts", 60);
const calls = numberFlag(flags, "calls", 5000);
const other = flags.get("against")?.[0];
const here = resolve(import.meta.dirname, "../..");

interface Figures {
  readonly cpuUs: number;
  /** The time spent reading, by who read and who had sent. */
  readonly parts: Readonly<Record<string, number>>;
  /** The number of failed calls. On a machine that is too busy, the proxies refuse some. */
  readonly failed: number;
}

/** A process that makes a burst of calls when it is told to. */
class Contender {
  readonly name: string;
  readonly figures: Figures[] = [];
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  constructor(name: string, dist: string, args: readonly string[]) {
    this.name = name;
    const child = spawn(process.execPath, [join(dist, "bench/calls/burst.js"), ...args], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child = child;
    this.#reader = createInterface({ input: child.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  async ready(): Promise<void> {
    if ((await this.#lines.next()).value !== "ready") throw new Error(`${this.name} did not start`);
  }

  async burst(): Promise<void> {
    this.#child.stdin?.write(`${calls}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`${this.name} ended`);
    this.figures.push(JSON.parse(value) as Figures);
  }

  stop(): void {
    this.#child.stdin?.end();
    this.#reader.close();
  }

  median(pick: (figures: Figures) => number): number {
    return median(this.figures.map(pick));
  }

  /** Returns a figure of the least disturbed bursts: the tenth percentile. */
  least(pick: (figures: Figures) => number): number {
    const sorted = this.figures.map(pick).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 10)] ?? Number.NaN;
  }
}

const proxyParts = ["outbound from client", "inbound from outbound", "inbound from server", "outbound from inbound"];

type Wanted = readonly [name: string, dist: string, through: string];

const tapped: readonly Wanted[] = [
  ["mesh, nobody taps", here, "mesh-off"],
  ["mesh, another service is tapped", here, "mesh-tapped-elsewhere"],
  ["mesh, the called service is tapped", here, "mesh-tapped"],
];

function wantedWithoutTap(): readonly Wanted[] {
  return [
    ...(flags.has("see") ? ([["mesh, sees nothing", here, "mesh-blind"]] as const) : []),
    ["mesh", here, "mesh"],
    ...(flags.has("see") ? ([["mesh, sees all", here, "mesh-on"]] as const) : []),
    ...(other === undefined ? [] : ([["mesh, other build", resolve(other), "mesh"]] as const)),
    ...(flags.has("telemetry")
      ? ([
          ["mesh, telemetry off", here, "mesh-off"],
          ["mesh, telemetry on", here, "mesh-on"],
        ] as const)
      : []),
    ...(flags.has("traffic") ? ([["mesh, traffic on", here, "mesh-traffic"]] as const) : []),
    ...(flags.has("traffic") && other !== undefined
      ? ([["mesh, traffic on, other build", resolve(other), "mesh-traffic"]] as const)
      : []),
    ...(flags.has("mesh-only")
      ? []
      : ([
          ["bare engine", here, "bare"],
          ["no proxy", here, "none"],
        ] as const)),
  ];
}

async function run(shape: string): Promise<readonly string[][]> {
  const args = ["--shape", shape, ...(flags.has("same-headers") ? ["--same-headers"] : [])];
  const wanted = flags.has("tap") ? tapped : wantedWithoutTap();
  const contenders: Contender[] = [];
  try {
    for (const [name, dist, through] of wanted) {
      const contender = new Contender(name, dist, [...args, "--through", through]);
      contenders.push(contender);
      await contender.ready(); // one after the other: each has to be compiled by V8
    }
    for (let burst = 0; burst < bursts; burst++) for (const contender of contenders) await contender.burst();
  } finally {
    for (const contender of contenders) contender.stop();
  }
  const base = contenders[0];
  return contenders.map((contender) => {
    const ratios = contender.figures.map(({ cpuUs }, place) => cpuUs / (base?.figures[place]?.cpuUs ?? Number.NaN));
    return [
      shape,
      contender.name,
      contender.median(({ cpuUs }) => cpuUs).toFixed(2),
      median(ratios).toFixed(3),
      contender.least(({ cpuUs }) => cpuUs).toFixed(2),
      ...proxyParts.map((part) => contender.least(({ parts }) => parts[part] ?? 0).toFixed(2)),
      String(contender.figures.reduce((sum, { failed }) => sum + failed, 0)),
    ];
  });
}

const rows: string[][] = [];
for (const shape of shapes) rows.push(...(await run(shape)));
console.log(`${machine()}, ${bursts} bursts of ${calls} calls`);
console.log("Parts by the clock, and least: of the tenth of the bursts that were disturbed least");
printTable(
  ["shape", "through", "CPU µs/call of all (median)", "of the first's", "least", ...proxyParts, "failed"],
  rows,
);
