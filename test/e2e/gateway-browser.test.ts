/** A page in Chromium calls the demo shop through a gateway with a token, streams, and is refused without one or from elsewhere. */
import { existsSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { build } from "esbuild";
import { type Browser, chromium } from "playwright-core";
import { openAccounts } from "../../examples/shop/demo-accounts.js";
import { DemoMesh } from "../../examples/shop/demo-mesh.js";
import { shopDescriptors, shopFolder } from "../../examples/shop/shop.js";
import { ensureBuilt } from "../support/control-plane-process.js";
import { asCompiled } from "../support/echo-schema.js";
import { until } from "../support/until.js";

const executablePath = "/usr/bin/chromium";
const hasBrowser = existsSync(executablePath);
if (!hasBrowser) console.warn(`${executablePath} is missing: what pages in a browser get is not tested`);

const policy = ["services", "access", "limits", "routes"].map((name) => `policy/${name}.yaml`);
const accounts = openAccounts();
let shop: DemoMesh | undefined;
let address: string;
let browser: Browser;
let script = "";
/** Two servers of pages: the first's origin may call. */
const servers: Server[] = [];

async function servePages(): Promise<string> {
  const server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : '<!doctype html><script src="/page.js"></script>');
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

let origins: readonly [string, string];

beforeAll(async () => {
  if (!hasBrowser) return;
  const entry = join(import.meta.dirname, "../support/browser-page.ts");
  const bundled = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: "iife",
    platform: "browser",
  });
  script = bundled.outputFiles[0]?.text ?? "";
  origins = [await servePages(), await servePages()];
  await ensureBuilt();
  shop = new DemoMesh();
  address = await openShop(shop);
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
}, 180_000);

afterAll(async () => {
  await browser?.close();
  for (const server of servers) server.close();
  await shop?.stop();
  shop?.remove();
}, 60_000);

/** Starts what orders need, and the gateway. Returns its address. */
async function openShop(mesh: DemoMesh): Promise<string> {
  await mesh.startControlPlane();
  await Promise.all(
    ["payments", "inventory", "checkout"].map((service) =>
      mesh.startMember({ name: service, service, version: "v1", application: `shop/${service}` }),
    ),
  );
  const files = [...policy, "policies-demo/edge.yaml"].map((name) => join(shopFolder, name));
  await mesh.ashlarJson(0, "apply", "-f", ...files, "--wait");
  const jwks = join(mesh.folder, "jwks.json");
  writeFileSync(jwks, accounts.jwks);
  await mesh.ashlarJson(0, "issuer", "set", "accounts", "--issuer", accounts.issuer, "--jwks", jwks);
  await until("everything is healthy", async () => {
    const services = await mesh.ashlarJson<{ endpoints: { healthy: boolean }[] }[]>(0, "services");
    return services.flatMap(({ endpoints }) => endpoints).filter(({ healthy }) => healthy).length === 3;
  });
  const descriptors = join(mesh.folder, "shop.binpb");
  writeFileSync(descriptors, shopDescriptors());
  const flags = ["--listener", "web=127.0.0.1:0", "--origin", `web=${origins[0]}`, "--descriptors", descriptors];
  return mesh.startGateway("public", "web", flags);
}

async function callFrom(origin: string): Promise<readonly string[]> {
  const page = await browser.newPage();
  await page.goto(origin);
  const asked = {
    baseUrl: `http://${address}`,
    descriptors: Buffer.from(asCompiled(shopDescriptors())).toString("base64"),
    token: accounts.token("bob", []),
  };
  const said = await page.evaluate(
    (given: object) => (globalThis as unknown as { callAll(given: object): Promise<string[]> }).callAll(given),
    asked,
  );
  await page.close();
  return said;
}

test("a page orders and watches its order with a token, and is refused without one", async () => {
  if (!hasBrowser) return;
  const refused = ["error 16", "error 16", "error 12"];
  const served = ["paid", "placed,reserved,paid", "error 12"]; // who is not exposed does not exist, token or not
  expect(await callFrom(origins[0])).toEqual(
    ["connect", "grpc-web"].flatMap((name) => [...served, ...refused].map((said) => `${name}: ${said}`)),
  );
}, 60_000);

test("a page of another origin gets nothing, token or not", async () => {
  if (!hasBrowser) return;
  const said = await callFrom(origins[1]);
  expect(said.length).toBe(12);
  for (const one of said) expect(one).toMatch(/^(connect|grpc-web): error \d+$/);
  expect(said.join()).not.toMatch(/error (16|12)/); // the browser did not let it see the answer
}, 60_000);
