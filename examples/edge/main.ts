/** A gateway opens the shop to web pages and to curl, by policy, and closes it again. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadSync } from "@grpc/proto-loader";
import { runExample } from "../payments/run-example.js";
import { root } from "../shop/demo-mesh.js";
import { expect } from "../shop/demo-parts.js";
import { descriptorSetOf } from "../shop/descriptor-set.js";

const policy = (...names: readonly string[]) => names.map((name) => `examples/edge/policy/${name}.yaml`);
const page = "https://www.shop.example";
const json = { "content-type": "application/json" };

await runExample(policy("services"), async ({ mesh, say, apply, rollback }) => {
  const descriptors = join(mesh.folder, "payments.binpb");
  const definition = loadSync(join(root, "examples/payments/payments.v1.proto"));
  writeFileSync(descriptors, descriptorSetOf(definition, "shop.v1.Payment"));
  const post = async (method: string, headers: Record<string, string> = {}): Promise<readonly [number, string]> => {
    const body = JSON.stringify({ cents: 990 });
    const answer = await fetch(`http://${address}/${method}`, {
      method: "POST",
      headers: { ...json, ...headers },
      body,
    });
    const text = await answer.text();
    say(`  POST /${method} ${JSON.stringify(headers)}: ${answer.status} ${text}`);
    return [answer.status, text];
  };

  say("\n1. Policy opens one method to a gateway, and a gateway starts");
  await apply("pages may pay", ...policy("services", "open"));
  const flags = ["--listener", "web=127.0.0.1:0", "--origin", `web=${page}`, "--descriptors", descriptors];
  const address = await mesh.startGateway("public", "web", flags);
  say(`  the gateway listens on ${address}: without --cert on the loopback address only`);

  say("\n2. JSON comes in, by HTTP/1.1, and arrives at the application as gRPC");
  const [status, text] = await post("shop.v1.Payments/Charge");
  expect(status === 200 && text.includes('"servedBy":"v1"'), "a call in JSON is answered");

  say("\n3. Nothing else exists outside, and pages of other origins get nothing");
  const [missing] = await post("shop.v1.Payments/Watch");
  expect(missing === 404, "a method that is not exposed does not exist");
  const [foreign] = await post("shop.v1.Payments/Charge", { origin: "https://evil.example" });
  expect(foreign === 403, "a page of another origin is refused");
  const [own] = await post("shop.v1.Payments/Charge", { origin: page });
  expect(own === 200, "a page of the shop's own is not");

  say("\n4. Rollback closes it, for everybody outside and nobody inside");
  await rollback();
  const [closed] = await post("shop.v1.Payments/Charge");
  expect(closed >= 400, "the gateway exposes nothing any more");
});
