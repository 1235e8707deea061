/**
 * P7: the time from the RPC of a rollback until every proxy reports that it evaluates it, as the control plane measures
 * it.
 */
import { until } from "../../test/support/until.js";
import { printTable } from "../proxy/contenders.js";
import { activate, publish, withMesh } from "./bench-mesh.js";
import { highest, median, quantile, render, verdict } from "./figures.js";
import { nameOf, policyOf } from "./policies.js";

export interface RollbackTimeOptions {
  readonly proxies: number;
  readonly rounds: number;
}

const services = 20;
const aimMs = 100;
const waitMs = 30_000;

/** Measures real `ashlar proxy` processes. Each round activates the second of two revisions and rolls it back. */
export async function measureRollbackTime({ proxies, rounds }: RollbackTimeOptions): Promise<void> {
  console.log(`\n### P7: rollback in force at ${proxies} proxies, each a process\n`);
  const took: number[] = [];
  let outside: number[] = [];
  await withMesh(async ({ mesh, admin }) => {
    for (let index = 0; index < proxies; index += 1)
      await mesh.proxy({ name: `proxy-${index}`, service: nameOf(index % services) });
    const first = await publish(admin, policyOf(services));
    await activate(admin, first);
    const second = await publish(admin, policyOf(services, new Map([[0, 1]])));
    const warmups = 3;
    for (let round = 0; round < warmups + rounds; round += 1) {
      await activate(admin, second);
      await until("every proxy evaluates what is rolled back", async () => {
        const { active, total } = await admin.getStatus({});
        return active === proxies && total === proxies;
      });
      const startMs = performance.now();
      const request = { to: undefined, reason: "", wait: true, waitTimeoutMs: waitMs };
      const { tookMs, behind } = await admin.rollback(request);
      if (behind.length > 0) throw new Error(`${behind.length} proxies are behind after ${waitMs} ms`);
      took.push(tookMs);
      outside.push(performance.now() - startMs);
    }
    took.splice(0, warmups);
    outside = outside.slice(warmups);
  });
  const figures = [median(took), quantile(took, 0.99), highest(took), median(outside)].map(render);
  const columns = ["rollbacks", "tookMs: median", "p99", "max", "seen by the caller: median ms", "aim of all"];
  printTable(columns, [[String(rounds), ...figures, verdict(highest(took), aimMs, "ms")]]);
}
