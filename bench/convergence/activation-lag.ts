/** P5: the time from the commit of an activation until every subscriber evaluates it. */
import { availableParallelism } from "node:os";
import { pause } from "../../test/conformance/child.js";
import { printTable } from "../proxy/contenders.js";
import { activate, publish, withMesh } from "./bench-mesh.js";
import { CpuMeter } from "./cpu-meter.js";
import { highest, median, quantile, render, sum, verdict } from "./figures.js";
import { policyOf } from "./policies.js";
import { SubscriberCrew } from "./subscriber-crew.js";

export interface ActivationLagOptions {
  readonly subscribers: number;
  readonly processes: number;
  /** The numbers of services in the mesh; each is measured in turn. */
  readonly sizes: readonly number[];
  readonly rounds: number;
}

const servicesRun = 20;
const aimMs = 60;
/** How long a switch has effects in milliseconds: state on disk, heartbeats, a statement about the heads. */
const settleMs = 1500;
const idleMs = 4000;
/** How many activations are not counted, because code that has just started is not compiled yet. */
const warmUps = 8;

/** Returns how long the measurement of one size waits at least, in seconds. */
function leastSeconds(rounds: number): number {
  return Math.ceil((settleMs + idleMs + rounds * settleMs) / 1000);
}

/**
 * Measures each size. It has two revisions, which differ in one service of the subscribers and are activated in turn.
 */
export async function measureActivationLag(options: ActivationLagOptions): Promise<void> {
  const { subscribers, processes, sizes, rounds } = options;
  console.log(`\n### P5: activation to in force at ${subscribers} real subscribers in ${processes} processes\n`);
  const columns = ["services", "activations", "p50 ms", "p99 ms", "max ms", "first, last of each: medians ms"];
  columns.push("aim of the p99", "CPU ms a subscriber and activation: until the last switch, in all");
  columns.push("CPU ms a subscriber and second at rest");
  columns.push("CPU ms an activation until the last switch: control plane, NATS");
  const rows: string[][] = [];
  const lastMedians: number[] = [];
  await withMesh(async ({ mesh, admin }) => {
    const joiningMs = performance.now();
    const crew = await SubscriberCrew.start(mesh, admin, { count: subscribers, services: servicesRun, processes });
    const joinedSeconds = (performance.now() - joiningMs) / 1000;
    console.log(
      `They had joined after ${joinedSeconds.toFixed(0)} s; each size takes ${leastSeconds(rounds)} s at least.\n`,
    );
    try {
      const meter = new CpuMeter(crew.pids, mesh.up.pid);
      for (const size of sizes) {
        const lags: number[] = [];
        const first: number[] = [];
        const last: number[] = [];
        const pair = [
          await publish(admin, policyOf(size)),
          await publish(admin, policyOf(size, new Map([[3, 1]]))),
        ] as const;
        for (let round = 0; round < warmUps; round += 1)
          await crew.switchedTo((await activate(admin, pair[round % 2] ?? 0)).epoch); // nothing is new to anybody after these
        await pause(settleMs);
        const idle = meter.read();
        await pause(idleMs);
        const perMs = meter.since(idle).subscribersMs / idleMs;
        const atRest = ((perMs * 1000) / subscribers).toFixed(2);
        const cpu = { controlPlane: 0, nats: 0 };
        const switching: number[] = [];
        const inAll: number[] = [];
        for (let round = 0; round < rounds; round += 1) {
          const [start, startMs] = [meter.read(), performance.now()];
          const { epoch, timeMs } = await activate(admin, pair[round % 2] ?? 0);
          const each = (await crew.switchedTo(epoch)).map((atMs) => atMs - timeMs);
          const switched = meter.since(start);
          switching.push(switched.subscribersMs);
          cpu.controlPlane += switched.controlPlaneMs;
          cpu.nats += switched.natsMs;
          await pause(settleMs);
          inAll.push(meter.since(start).subscribersMs - (performance.now() - startMs) * perMs);
          lags.push(...each);
          first.push(quantile(each, 0));
          last.push(highest(each));
        }
        const p99 = quantile(lags, 0.99);
        const figures = [median(lags), p99, highest(lags)].map(render);
        const ends = `${render(median(first))}, ${render(median(last))}`;
        const ofEach = (ms: number): string => (ms / subscribers).toFixed(2);
        const means = [switching, inAll].map((all) => ofEach(sum(all) / rounds)).join(", ");
        const each = `${means}; ${ofEach(quantile(switching, 0))}, ${ofEach(quantile(inAll, 0))}`;
        const others = [cpu.controlPlane, cpu.nats].map((ms) => render(ms / rounds)).join(", ");
        rows.push([String(size), String(rounds), ...figures, ends, verdict(p99, aimMs, "ms"), each, atRest, others]);
        lastMedians.push(median(last));
      }
    } finally {
      await crew.stop();
    }
  });
  printTable(columns, rows);
  console.log(
    `\n${processes} processes share ${availableParallelism()} cores with the control plane and NATS; the subscribers of one share its event loop. ${settleMs} ms pass between a switch and the next activation; ${warmUps} activations before are not counted; what the subscribers use at rest is subtracted from their CPU in all.`,
  );
  if (sizes.length < 2) return;
  const [small, large] = [lastMedians[0] ?? Number.NaN, lastMedians.at(-1) ?? Number.NaN];
  console.log(`${sizes.at(-1)} services against ${sizes[0]}: ${(large / small).toFixed(2)} (medians of the last)`);
}
