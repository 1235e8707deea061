/** Runs an example of payments on a mesh of its own. */
import type { DemoMesh, Member } from "../shop/demo-mesh.js";
import { runOnMesh } from "../shop/run-on-mesh.js";
import { Shopfront } from "./shopfront.js";

const healthyMs = 30_000;

export const blue: Member = {
  name: "payments-v1",
  service: "payments",
  version: "v1",
  application: "payments/payments",
};
export const green: Member = { ...blue, name: "payments-v2", version: "v2" };
const storefront: Member = { name: "storefront", service: "storefront", version: "v1" };

export interface Example {
  readonly mesh: DemoMesh;
  readonly shop: Shopfront;
  say(text: string): void;
  /** Applies policy files and waits until every proxy follows. Returns the number of the revision. */
  apply(message: string, ...files: readonly string[]): Promise<number>;
  /** Rolls back to the revision before, on all proxies. */
  rollback(): Promise<number>;
}

/** Runs an example. `first`: policy files that are in force before `run` is called; v1 and the caller are up then. */
export async function runExample(first: readonly string[], run: (example: Example) => Promise<void>): Promise<never> {
  const say = (text: string): void => console.log(text);
  return runOnMesh(async (mesh) => {
    const startedMs = Date.now();
    await mesh.startControlPlane();
    await Promise.all([blue, storefront].map((member) => mesh.startMember(member)));
    const apply = (message: string, ...files: readonly string[]) => {
      say(`  $ ashlar apply -f ${files.join(" ")} -m "${message}" --wait`);
      return revisionOf(mesh, "apply", "-f", ...files, "-m", message, "--wait");
    };
    await apply("v1", ...first);
    await untilHealthy(mesh, 1);
    say(`  up after ${((Date.now() - startedMs) / 1000).toFixed(1)} s; storefront calls payments from now on`);
    const shop = await Shopfront.open(mesh);
    const rollback = () => {
      say("  $ ashlar rollback --wait");
      return revisionOf(mesh, "rollback", "--wait");
    };
    await run({ mesh, shop, say, apply, rollback });
    say(`\n${await shop.close()}`);
  });
}

/** Waits until this many instances of payments, or of another service, are healthy. */
export async function untilHealthy(mesh: DemoMesh, count: number, service = "payments"): Promise<void> {
  for (const endMs = Date.now() + healthyMs; ; ) {
    const services = await mesh.ashlarJson<{ name: string; endpoints: { healthy: boolean }[] }[]>(0, "services");
    const healthy = services.flatMap(({ name, endpoints }) => (name === service ? endpoints : []));
    if (healthy.filter((one) => one.healthy).length >= count) return;
    if (Date.now() > endMs)
      throw new Error(`${service} has no ${count} healthy instances within ${healthyMs / 1000} s`);
  }
}

async function revisionOf(mesh: DemoMesh, ...argv: readonly string[]): Promise<number> {
  return (await mesh.ashlarJson<{ revision: number }>(0, ...argv)).revision;
}
