/**
 * The demo: starts a mesh with the shop's services, shows how it works, and stays up until Ctrl-C. With --exit it
 * leaves after the last step, with code 0, or 1 if a step failed.
 */
import { relative } from "node:path";
import { sendCustomers } from "./demo-customers.js";
import { DemoMesh, type Member } from "./demo-mesh.js";
import { closeDemo, type Demo, openDemo } from "./demo-parts.js";
import { steps } from "./demo-steps.js";

const members: readonly Member[] = [
  { name: "payments", service: "payments", version: "v1", application: "shop/payments" },
  { name: "inventory-v1", service: "inventory", version: "v1", application: "shop/inventory" },
  { name: "inventory-v2", service: "inventory", version: "v2", application: "shop/inventory" },
  { name: "checkout", service: "checkout", version: "v1", application: "shop/checkout" },
  { name: "storefront", service: "storefront", version: "v1" },
];
const healthyMs = 30_000;

const say = (text: string): void => console.log(text);

async function startEverything(mesh: DemoMesh): Promise<void> {
  const startMs = Date.now();
  say("Starting NATS and a control plane …");
  await mesh.startControlPlane();
  say("Starting five proxies and four services, each its own process …");
  await Promise.all(members.map((member) => mesh.startMember(member)));
  const wanted = members.filter(({ application }) => application !== undefined).length;
  for (const endMs = Date.now() + healthyMs; (await countHealthy(mesh)) < wanted; ) {
    if (Date.now() > endMs)
      throw new Error(`not every service is healthy within ${healthyMs / 1000} s: see \`ashlar services\``);
  }
  say(`Everything is up after ${((Date.now() - startMs) / 1000).toFixed(1)} s.`);
}

async function countHealthy(mesh: DemoMesh): Promise<number> {
  const services = await mesh.ashlarJson<{ endpoints: { healthy: boolean }[] }[]>(0, "services");
  return services.flatMap(({ endpoints }) => endpoints).filter(({ healthy }) => healthy).length;
}

async function showEverything(demo: Demo): Promise<void> {
  for (const [index, { title, run }] of steps.entries()) {
    say(`\n${index + 1}. ${title}`);
    await run(demo);
  }
  await untilNothingIsWrong(demo.mesh);
}

/** Waits until `ashlar status` reports no problem: what people look at next is in order. */
async function untilNothingIsWrong(mesh: DemoMesh): Promise<void> {
  for (const endMs = Date.now() + healthyMs; ; ) {
    const status = await mesh.ashlarJson<{ healthy: boolean; problems: { message: string }[] }>(0, "status");
    if (status.healthy) return;
    if (Date.now() > endMs)
      throw new Error(`the mesh is not healthy: ${status.problems.map(({ message }) => message).join("; ")}`);
  }
}

async function suggest(mesh: DemoMesh): Promise<void> {
  const context = `--context ${relative(process.cwd(), mesh.contextPath)}`;
  const order = `checkout/shop.Checkout/PlaceOrder '{"item":"anvil","quantity":1}'`;
  const { url } = await mesh.ashlarJson<{ url: string }>(0, "console");
  say(`
The mesh stays up until Ctrl-C, and customers buy; one call of five is denied. See it in a browser (the link works once, for two minutes; the first command makes another):

  ${url}

Try, in another terminal:

  npx ashlar console ${context}
  npx ashlar status ${context}
  npx ashlar log ${context}
  npx ashlar proxies ${context}
  npx ashlar can checkout payments/shop.Payments/Refund ${context}
  npx ashlar diff 2 3 ${context}
  npx ashlar activate 3 --wait ${context}
  npx ashlar rollback --wait ${context}
  npx ashlar audit ${context}
  node dist/examples/shop/call.js --agent ${mesh.agentOf("storefront")} ${order}

Logs: ${relative(process.cwd(), mesh.folder)}/logs`);
}

async function main(argv: readonly string[]): Promise<number> {
  const unknown = argv.find((word) => word !== "--exit");
  if (unknown !== undefined) {
    console.error(`unknown argument ${unknown}: there is --exit`);
    return 2;
  }
  const mesh = new DemoMesh();
  const asked = new Promise<"stop">((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve("stop"));
  });
  let demo: Demo | undefined;
  const show = async (): Promise<"shown"> => {
    await startEverything(mesh);
    demo = await openDemo(mesh, say);
    await showEverything(demo);
    return "shown";
  };
  let failed = false;
  try {
    const outcome = await Promise.race([show(), asked]);
    if (argv.includes("--exit")) {
      failed = outcome !== "shown"; // a demo that was interrupted has not shown that the steps work
    } else if (outcome === "shown") {
      const stop = demo === undefined ? undefined : sendCustomers(demo);
      await suggest(mesh);
      await asked;
      stop?.();
    }
  } catch (error) {
    failed = true;
    console.error(`\n${error instanceof Error ? error.message : error}`);
    console.error(`Logs: ${relative(process.cwd(), mesh.folder)}/logs`);
  }
  say("\nStopping …");
  if (demo !== undefined) await closeDemo(demo).catch(() => {}); // every process must be ended, whatever fails here
  await mesh.stop();
  if (!failed) mesh.remove();
  return failed ? 1 : 0;
}

process.exit(await main(process.argv.slice(2)));
