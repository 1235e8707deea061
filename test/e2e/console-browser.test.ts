/** The console's server as a real browser meets it, over TLS: login, rights, other sites, and states that pages have to show. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Browser, chromium, type Page } from "playwright-core";
import { findChromium } from "../support/browser.js";
import { TestMesh } from "../support/mesh.js";
import { until } from "../support/until.js";

const executablePath = findChromium() ?? "";
const hasBrowser = executablePath !== "";
const inBrowser = hasBrowser ? test : (): void => {};
if (!hasBrowser)
  test("the console is not looked at here: there is no Chromium on PATH nor in CHROMIUM", () =>
    expect(findChromium()).toBeUndefined());

let mesh: TestMesh;
let browser: Browser;
let origin = "";

beforeAll(async () => {
  if (!hasBrowser) return;
  mesh = await TestMesh.start("shop", ["--console", "127.0.0.1:0"]);
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] }); // root gets none
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
}, 30_000);

/** A window of its own, and what its pages complained of: exceptions, and refusals by the content security policy. */
async function openPage() {
  const page = await browser.newPage({ ignoreHTTPSErrors: true }); // the certificate is of the mesh
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    const text = message.text(); // a browser says of each answer that is an error that it is one
    if (message.type() === "error" && !text.startsWith("Failed to load resource")) complaints.push(text);
  });
  return { page, complaints };
}

/** A page that is logged in; returns the link that it used. */
async function logIn(page: Page, ...flags: readonly string[]): Promise<string> {
  const { url } = await mesh.json(0, "console", ...flags);
  await page.goto(url);
  await page.getByRole("button", { name: "Open the console" }).click();
  await page.getByRole("heading", { name: "Mesh", level: 1 }).waitFor();
  origin = new URL(url).origin;
  return url;
}

async function goTo(page: Page, name: string): Promise<void> {
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name }).click();
  await page.getByRole("heading", { name, level: 1 }).waitFor();
}

/** What a page's own script is answered. */
const posted = (page: Page, method: string, request: object): Promise<{ status: number; code?: string }> =>
  page.evaluate(
    async ([path, body]) => {
      const headers = { "content-type": "application/json" };
      const answer = await fetch(path ?? "", { method: "POST", headers, body: body ?? "" });
      return { status: answer.status, ...((await answer.json()) as object) };
    },
    [`/api/${method}`, JSON.stringify(request)],
  );

inBrowser(
  "a link works once, and says so; a session that may only look changes nothing; nothing comes from elsewhere",
  async () => {
    const { page, complaints } = await openPage();
    const elsewhere: string[] = [];
    page.on("request", (request) => {
      if (!/^(https:\/\/127\.0\.0\.1:|blob:|data:)/.test(request.url())) elsewhere.push(request.url());
    });
    const url = await logIn(page, "--read-only");
    expect(url).toMatch(/^https:/);
    expect(await posted(page, "GetStatus", {})).toMatchObject({ status: 200 });
    expect(await posted(page, "ActivateRevision", { revision: 1 })).toMatchObject({ status: 403, code: "denied" });
    for (const name of ["Mesh", "Revisions", "Proxies", "Access", "Audit"]) await goTo(page, name);
    await page.goto(url);
    await page.getByRole("heading", { name: "This link was used before" }).waitFor();
    expect([elsewhere, complaints]).toEqual([[], []]);
    const entries = await mesh.json(0, "audit");
    expect(entries).toContainEqual(
      expect.objectContaining({
        action: "refuse",
        target: "ActivateRevision",
        source: expect.stringContaining("via console"),
      }),
    );
    await page.context().close();
  },
  180_000,
);

inBrowser(
  "loading, failed and too much are shown as what they are",
  async () => {
    const { page } = await openPage();
    await logIn(page);
    let answer = (): void => {};
    const held = new Promise<void>((resolve) => {
      answer = resolve;
    });
    await page.route("**/api/ListProxies", async (route) => {
      await held;
      await route.fulfill({ status: 503, json: { code: "unavailable", message: "the disk is full", details: [] } });
    });
    await goTo(page, "Proxies");
    await page.getByRole("status", { name: "Loading the proxies" }).waitFor();
    answer();
    await page.getByText("Could not load the proxies").waitFor();
    await page.getByText("the disk is full").first().waitFor();
    await page.unroute("**/api/ListProxies");
    const proxies = Array.from({ length: 5000 }, (_, place) => ({ id: `payments-${place}`, service: "payments" }));
    await page.route("**/api/ListProxies", (route) => route.fulfill({ json: { proxies } }));
    await page.getByRole("button", { name: "Try again" }).first().click();
    await page.getByText(/^100 of 5.?000$/).waitFor();
    await page.context().close();
  },
  180_000,
);

inBrowser(
  "another site can neither frame it, nor post to it, nor read from it, with the session's cookie there",
  async () => {
    const { page } = await openPage();
    await logIn(page);
    const noted = async (): Promise<number> => (await mesh.json(0, "audit")).length;
    const before = await noted();
    const evil: Server = createServer((_request, response) => {
      response.setHeader("content-type", "text/html").end(`<iframe name="sink" src="${origin}/"></iframe>
<form method="post" target="sink" action="${origin}/api/Rollback" enctype="text/plain"><input name='{"reason":"' value='"}'></form>`);
    });
    // the same host, and other only by scheme and port
    evil.listen(0, "127.0.0.1");
    await until("it listens", () => evil.listening);
    await page.goto(`http://127.0.0.1:${(evil.address() as AddressInfo).port}/`);
    await until("the frame is refused", () => page.frames().some((frame) => frame.url().startsWith("chrome-error:")));
    const read = await page.evaluate(
      (url) =>
        fetch(url, { credentials: "include" }).then(
          () => "read",
          () => "refused",
        ),
      `${origin}/api/session`,
    );
    const answered = page.waitForResponse((response) => response.url().endsWith("/api/Rollback"));
    await page.evaluate("document.forms[0].submit()");
    expect([read, (await answered).status()]).toEqual(["refused", 403]);
    expect(await noted()).toBe(before);
    evil.closeAllConnections();
    evil.close();
    await page.context().close();
  },
  180_000,
);
