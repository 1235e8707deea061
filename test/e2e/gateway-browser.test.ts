/** A page in Chromium calls through a gateway with a token, streams, and is refused without one or from elsewhere. */
import { existsSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { build } from "esbuild";
import { type Browser, chromium } from "playwright-core";
import { echoDescriptorBytes } from "../support/echo-schema.js";
import { TestTokenIssuer } from "../support/token-issuer.js";
import { startWebMesh, type WebMesh, webListener, webPolicy } from "../support/web-mesh.js";

const executablePath = "/usr/bin/chromium";
const hasBrowser = existsSync(executablePath);
if (!hasBrowser) console.warn(`${executablePath} is missing: what pages in a browser get is not tested`);

const issuer = new TestTokenIssuer();
let web: WebMesh;
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
  const policy = webPolicy(webListener("web", ", cors: {}").replace("{ anyone: true }", "{ token: [accounts] }"));
  web = await startWebMesh(policy, (dir) => [
    ...["--listener", "web=127.0.0.1:0", "--origin", `web=${origins[0]}`, "--descriptors", `${dir}/echo.binpb`],
  ]);
  const jwks = join(web.mesh.dir, "jwks.json");
  writeFileSync(jwks, issuer.jwks());
  await web.mesh.json(0, "issuer", "set", "accounts", "--issuer", issuer.issuer, "--jwks", jwks);
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
}, 120_000);

afterAll(async () => {
  await browser?.close();
  for (const server of servers) server.close();
  await web?.stop();
}, 60_000);

async function callFrom(origin: string): Promise<readonly string[]> {
  const page = await browser.newPage();
  await page.goto(origin);
  const asked = {
    baseUrl: `http://${web.addresses.web}`,
    descriptors: Buffer.from(echoDescriptorBytes()).toString("base64"),
    token: issuer.token({}, {}, issuer.keys[0], Math.floor(Date.now() / 1000)),
  };
  const said = await page.evaluate(
    (given: object) => (globalThis as unknown as { callAll(given: object): Promise<string[]> }).callAll(given),
    asked,
  );
  await page.close();
  return said;
}

test("a page calls and streams with a token, and is refused without one", async () => {
  if (!hasBrowser) return;
  const called = "from a page, spiffe://test/gateway/public, 5050";
  expect(await callFrom(origins[0])).toEqual([
    ...[`connect: ${called}`, "connect: error 16"],
    ...[`grpc-web: ${called}`, "grpc-web: error 16"],
  ]);
}, 60_000);

test("a page of another origin gets nothing, token or not", async () => {
  if (!hasBrowser) return;
  const said = await callFrom(origins[1]);
  expect(said.map((one) => one.replace(/\d+$/, "N"))).toEqual([
    ...["connect: error N", "connect: error N", "grpc-web: error N", "grpc-web: error N"],
  ]);
  expect(said.join()).not.toContain("error 16"); // the browser did not let it see the answer
}, 60_000);
