/** The steps of the demo. Each says what it does, does it with real calls, and checks the result. */
import { join, relative } from "node:path";
import { status } from "@grpc/grpc-js";
import { call, callOne } from "./calls.js";
import { hungInstance, stickyCanary } from "./demo-canary.js";
import { waysInAndOut } from "./demo-edge.js";
import { ledgerOfWrites } from "./demo-ledger.js";
import { root } from "./demo-mesh.js";
import { type Demo, expect } from "./demo-parts.js";
import { clerksToken } from "./demo-token.js";
import { Checkout, Inventory, type Order, type Payment, Payments, type Reservation, shopFolder } from "./shop.js";

interface Applied {
  readonly created: boolean;
  readonly revision: number;
  readonly epoch: number;
  readonly tookMs: number;
  readonly findings: readonly { file: string; line: number; column: number; message: string }[];
}

const callsCount = 200;
const file = (...path: readonly string[]): string => relative(root, join(shopFolder, ...path));
const policy = ["policy/services.yaml", "policy/access.yaml", "policy/limits.yaml"].map((name) => file(name));
const routes = file("policy/routes.yaml");
const noRefunds = file("policies-demo/deny-refunds.yaml");
const split = file("policies-demo/inventory-split.yaml");
const broken = file("policies-demo/broken.yaml");

async function apply({ mesh, say }: Demo, message: string, ...files: readonly string[]): Promise<Applied> {
  say(`  $ ashlar apply -f ${files.join(" ")} -m "${message}" --wait`);
  const applied = await mesh.ashlarJson<Applied>(0, "apply", "-f", ...files, "-m", message, "--wait");
  const { revision, epoch, tookMs } = applied;
  say(`  revision ${revision} is in force at every proxy, as epoch ${epoch}, after ${tookMs} ms`);
  return applied;
}

async function firstPolicy(demo: Demo): Promise<void> {
  const { created, revision } = await apply(demo, "the shop opens", ...policy, routes);
  expect(created && revision === 1, "the first revision");
}

async function allowedCall({ checkout, inventory, say }: Demo): Promise<void> {
  const order = await callOne<Order>(checkout, Checkout, "PlaceOrder", { item: "anvil", quantity: 2 });
  say(`  storefront placed ${order.order_id}: ${order.state}, goods from inventory ${order.inventory_version}`);
  expect(order.state === "paid" && order.inventory_version === "v1", "an order that is paid");
  const watched = await call<{ state: string }>(checkout, Checkout, "WatchOrder", { order_id: order.order_id });
  say(`  watched it as a stream: ${watched.responses.map(({ state }) => state).join(" → ")}`);
  expect(watched.code === status.OK && watched.responses.length === 3, "a stream of three states");
  const stock = await call<{ item: string }>(inventory, Inventory, "ListStock", {});
  expect(stock.code === status.OK && stock.responses.length >= 3, "a list of what is in stock");
}

async function deniedCall({ mesh, payments, say }: Demo): Promise<void> {
  const { code, message, trailers } = await call<Payment>(payments, Payments, "Charge", { order_id: "x", cents: 1 });
  const [decision = ""] = trailers.get("ashlar-decision").map(String);
  const [revision = ""] = trailers.get("ashlar-revision").map(String);
  say(`  storefront called shop.Payments/Charge itself: ${status[code]}, "${message}"`);
  expect(code === status.PERMISSION_DENIED && decision !== "" && revision === "1", "a denial with its decision");
  const asked = ["can", "storefront", "payments/shop.Payments/Charge"] as const;
  const { allowed, rule } = await mesh.ashlarJson<{ allowed: boolean; rule: string }>(0, ...asked);
  say(`  by the proxy of payments, under revision ${revision}; decision ${decision}; rule: ${rule}`);
  expect(!allowed && rule === "default-deny", "`ashlar can` says the same");
}

async function limitedCalls({ inventory, say }: Demo): Promise<void> {
  const answers = [];
  for (let index = 0; index < 20; index += 1) answers.push(await call(inventory, Inventory, "ListStock", {}));
  const refused = answers.filter(({ code }) => code === status.RESOURCE_EXHAUSTED);
  const [first] = refused;
  const [pushback] = first?.trailers.get("grpc-retry-pushback-ms") ?? [];
  say(
    `  of 20 calls of ListStock at once, ${20 - refused.length} pass; then: ${status[first?.code ?? 0]}, "${first?.message}"`,
  );
  say(`  grpc-retry-pushback-ms: ${pushback}, which clients with a retry policy wait for`);
  expect(
    answers.every(({ code }) => code === status.OK || code === status.RESOURCE_EXHAUSTED),
    "calls or status 8",
  );
  expect(refused.length > 0 && refused.length < 20 && Number(pushback) > 0, "some pass, the others learn when to come");
}

async function pushedRevision(demo: Demo): Promise<void> {
  const { checkout, say } = demo;
  const place = () => callOne<Order>(checkout, Checkout, "PlaceOrder", { item: "mallet", quantity: 1 });
  const cancel = ({ order_id }: Order) => call<Order>(checkout, Checkout, "CancelOrder", { order_id });
  const before = await cancel(await place());
  say(`  before: cancelling an order refunds it: ${before.responses[0]?.state}`);
  expect(before.responses[0]?.state === "cancelled", "a refund that is allowed");
  const { revision } = await apply(demo, "no refunds today", ...policy, routes, noRefunds);
  const after = await cancel(await place());
  say(`  after: ${status[after.code]}, "${after.message}"; orders are still taken`);
  expect(after.code === status.PERMISSION_DENIED, "a refund that is denied");
  expect(after.message.includes(`revision ${revision}`), "the denial names the new revision");
}

async function countVersions({ inventory }: Demo): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {};
  for (let index = 0; index < callsCount; index += 1) {
    const request = { item: "chisel", quantity: 1 };
    const { version } = await callOne<Reservation>(inventory, Inventory, "Reserve", request);
    counts[version] = (counts[version] ?? 0) + 1;
  }
  return counts;
}

const render = ({ v1 = 0, v2 = 0 }: Readonly<Record<string, number>>): string => `v1 ${v1}, v2 ${v2}`;

async function shiftedTraffic(demo: Demo): Promise<void> {
  const before = await countVersions(demo);
  demo.say(`  before: of ${callsCount} calls to inventory: ${render(before)}`);
  expect(before.v1 === callsCount, "every call to v1");
  await apply(demo, "three of four to v2", ...policy, noRefunds, split);
  const after = await countVersions(demo);
  demo.say(`  after:  of ${callsCount} calls to inventory: ${render(after)}`);
  const { v1 = 0, v2 = 0 } = after;
  expect(v1 + v2 === callsCount && v2 >= 110 && v2 <= 190, "about 150 calls to v2"); // 6 standard deviations
}

async function refusedFile({ mesh, say }: Demo): Promise<void> {
  const head = async () => (await mesh.ashlarJson<{ number: number }[]>(0, "log"))[0]?.number;
  const before = await head();
  say(`  $ ashlar apply -f ${policy.join(" ")} ${broken}`);
  const done = await mesh.ashlar("apply", "-f", ...policy, broken);
  for (const line of done.error.trim().split("\n")) say(`  ${line}`);
  expect(done.code === 1, "exit code 1");
  expect(/broken\.yaml:\d+:\d+: error: /.test(done.error), "errors with line and column");
  expect((await head()) === before, "nothing is stored");
}

async function rolledBack(demo: Demo): Promise<void> {
  const { mesh, say } = demo;
  say('  $ ashlar rollback -m "v2 can wait" --wait');
  const argv = ["rollback", "-m", "v2 can wait", "--wait"] as const;
  const back = await mesh.ashlarJson<Applied & { rollbackOf: number }>(0, ...argv);
  say(`  revision ${back.revision} is in force again at every proxy, as epoch ${back.epoch}, after ${back.tookMs} ms`);
  expect(back.revision === 2 && back.rollbackOf === 3, "the revision before");
  const counts = await countVersions(demo);
  say(`  of ${callsCount} calls to inventory: ${render(counts)}`);
  expect(counts.v1 === callsCount, "every call to v1 again");
}

function applyCanary(demo: Demo, message: string, name: string): Promise<Applied> {
  return apply(demo, message, ...policy, noRefunds, file("policies-demo", name));
}

/** The policy that is in force once the gateway is open. */
const inForce = [...policy, routes, noRefunds, file("policies-demo/edge.yaml")];

function applyEdge(demo: Demo): Promise<Applied> {
  return apply(demo, "open at the edge", ...inForce);
}

const ledger = (demo: Demo): Promise<void> =>
  ledgerOfWrites(demo, (message, ...files) => apply(demo, message, ...inForce, ...files));

/** The steps in order; later ones build on earlier ones. */
export const steps: readonly { readonly title: string; readonly run: (demo: Demo) => Promise<void> }[] = [
  { title: "The first policy", run: firstPolicy },
  { title: "A call that is allowed", run: allowedCall },
  { title: "A call that is denied: by whom, and why", run: deniedCall },
  { title: "A rate limit", run: limitedCalls },
  { title: "A clerk's token beside the storefront's identity", run: clerksToken },
  { title: "A policy revision, pushed and in force everywhere", run: pushedRevision },
  { title: "Traffic shifts from v1 to v2", run: shiftedTraffic },
  { title: "A bad policy file is refused", run: refusedFile },
  { title: "A rollback", run: rolledBack },
  { title: "A canary whose users keep their side", run: (demo) => stickyCanary(demo, applyCanary) },
  { title: "An instance that hangs leaves the rotation, and comes back", run: hungInstance },
  { title: "A way in and a way out: the edge of the mesh", run: (demo) => waysInAndOut(demo, applyEdge) },
  {
    title: "A ledger whose writes are appended first: proxies killed, a transfer booked once, a customer shredded",
    run: ledger,
  },
];
