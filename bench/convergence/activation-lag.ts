/** P5: from the commit of an activation until every subscriber evaluates it. */
import { printTable } from "../proxy/contenders.js";
import { activate, publish, withMesh } from "./bench-mesh.js";
import { highest, median, quantile, render, verdict } from "./figures.js";
import { policyOf } from "./policies.js";
import { SubscriberCrew } from "./subscriber-crew.js";

export interface ActivationLagOptions {
  readonly subscribers: number;
  readonly processes: number;
  /** Services of the mesh, one size after the other. */
  readonly sizes: readonly number[];
  readonly rounds: number;
}

const servicesRun = 20;
const aimMs = 50;

/** Each size has two revisions, which differ in one service that subscribers run; activations go to and fro. */
export async function measureActivationLag(options: ActivationLagOptions): Promise<void> {
  const { subscribers, processes, sizes, rounds } = options;
  console.log(`\n### P5: activation to in force at ${subscribers} real subscribers in ${processes} processes\n`);
  const columns = [
    "services",
    "activations",
    "p50 ms",
    "p99 ms",
    "max ms",
    "first, last of each: medians ms",
    "aim of the p99",
    "CPU ms a subscriber and activation",
  ];
  const rows: string[][] = [];
  const lastMedians: number[] = [];
  await withMesh(async ({ mesh, admin }) => {
    const crew = await SubscriberCrew.start(mesh, admin, { count: subscribers, services: servicesRun, processes });
    try {
      for (const size of sizes) {
        const lags: number[] = [];
        const first: number[] = [];
        const last: number[] = [];
        const pair = [
          await publish(admin, policyOf(size)),
          await publish(admin, policyOf(size, new Map([[3, 1]]))),
        ] as const;
        for (const revision of pair) await crew.switchedTo((await activate(admin, revision)).epoch); // nothing is new to anybody after these
        const beforeSeconds = crew.cpuSeconds();
        for (let round = 0; round < rounds; round += 1) {
          const { epoch, timeMs } = await activate(admin, pair[round % 2] ?? 0);
          const each = (await crew.switchedTo(epoch)).map((atMs) => atMs - timeMs);
          lags.push(...each);
          first.push(quantile(each, 0));
          last.push(highest(each));
        }
        const cpuMs = (crew.cpuSeconds() - beforeSeconds) * 1000;
        const p99 = quantile(lags, 0.99);
        const figures = [median(lags), p99, highest(lags)].map(render);
        const ends = `${render(median(first))}, ${render(median(last))}`;
        const cpu = render(cpuMs / rounds / subscribers);
        rows.push([String(size), String(rounds), ...figures, ends, verdict(p99, aimMs, "ms"), cpu]);
        lastMedians.push(median(last));
      }
    } finally {
      await crew.stop();
    }
  });
  printTable(columns, rows);
  const [small, large] = [lastMedians[0] ?? Number.NaN, lastMedians.at(-1) ?? Number.NaN];
  console.log(`\n${sizes.at(-1)} services against ${sizes[0]}: ${(large / small).toFixed(2)} (medians of the last)`);
}
