/**
 * Makes a call by hand, as the service whose agent socket ASHLAR_AGENT (or --agent) names:
 *
 *     node dist/examples/shop/call.js --agent unix:PATH checkout/shop.Checkout/PlaceOrder '{"item":"anvil","quantity":1}'
 */
import { parseArgs } from "node:util";
import { status } from "@grpc/grpc-js";
import { join } from "../../sdk/index.js";
import { call } from "./calls.js";
import { Checkout, Inventory, Payments } from "./shop.js";

const usage = "usage: call.js [--agent unix:PATH] [--as SERVICE] SERVICE/shop.Service/Method [JSON]...";
const services = { Checkout, Inventory, Payments } as const;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { agent: { type: "string" }, as: { type: "string", default: "storefront" } },
    allowPositionals: true,
  });
  const [target = "", ...bodies] = positionals;
  const [, name = "", service = "", method = ""] = /^([^/]+)\/shop\.(\w+)\/(\w+)$/.exec(target) ?? [];
  const definition = services[service as keyof typeof services];
  if (definition === undefined) throw new Error(usage);
  const requests = bodies.map((body) => JSON.parse(body) as object);
  const mesh = await join({ service: values.as, ...(values.agent === undefined ? {} : { agent: values.agent }) });
  const client = new definition(...mesh.client(name));
  const outcome = await call(client, definition, method, ...(requests.length === 0 ? [{}] : requests));
  for (const response of outcome.responses) console.log(JSON.stringify(response));
  const [revision = "-"] = outcome.trailers.get("ashlar-revision");
  console.error(
    `${status[outcome.code]}${outcome.code === status.OK ? "" : `: ${outcome.message}`} (revision ${revision})`,
  );
  client.close();
  await mesh.leave();
  return outcome.code === status.OK ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
