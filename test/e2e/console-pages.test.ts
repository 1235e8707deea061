/** The console as an operator uses it: a real mesh, a real browser, and clicks. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Page } from "playwright-core";
import { findChromium, TestBrowser, type TestPage } from "../support/browser.js";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall, split } from "../support/echo-policy.js";
import { TestMesh } from "../support/mesh.js";
import { until } from "../support/until.js";

const hasBrowser = findChromium() !== undefined;
const inBrowser = hasBrowser ? test : (): void => {};
if (!hasBrowser)
  test("the console is not looked at here: there is no Chromium", () => expect(findChromium()).toBeUndefined());

let mesh: TestMesh;
let browser: TestBrowser;
let opened: TestPage;
let page: Page;
const clients: EchoClient[] = [];
let calling = true;
let loops: readonly Promise<void>[] = [];

beforeAll(async () => {
  if (!hasBrowser) return;
  mesh = await TestMesh.start("shop", ["--console", "127.0.0.1:0", "--console-plain"]);
  const [echo, second, front, stranger] = await Promise.all([
    mesh.proxy({ name: "echo", service: "echo" }),
    mesh.proxy({ name: "echo-2", service: "echo", version: "v2" }),
    mesh.proxy({ name: "front", service: "front" }),
    mesh.proxy({ name: "stranger", service: "stranger" }),
  ]);
  await Promise.all([mesh.app(echo, "echo"), mesh.app(second, "echo", "v2")]);
  await mesh.apply(frontMayCall, "-m", "front may call");
  await mesh.apply(split({ v1: 90, v2: 10 }), "-m", "ten percent <b>to v2</b>");
  await mesh.healthy("echo", 2);
  const [allowed, denied] = [new EchoClient(front.outbound, "echo"), new EchoClient(stranger.outbound, "echo")];
  clients.push(allowed, denied);
  await until("a call is answered", async () => (await allowed.unary({ text: "?" }, { deadlineMs: 5000 })).code === 0);
  loops = clients.map(async (client) => {
    while (calling) await client.unary({ text: "?" }, { deadlineMs: 5000 });
  });
  browser = await TestBrowser.start();
  opened = await browser.open();
  page = opened.page;
  await logIn(page);
}, 180_000);

afterAll(async () => {
  calling = false;
  await Promise.all(loops);
  for (const client of clients) client.close();
  await browser?.close();
  await mesh?.stop();
}, 60_000);

async function logIn(into: Page, ...flags: string[]): Promise<void> {
  const { url } = await mesh.json(0, "console", ...flags);
  await into.goto(url);
  await into.getByRole("button", { name: "Open the console" }).click();
  await into.getByRole("heading", { name: "Mesh", level: 1 }).waitFor();
}

async function goTo(name: string): Promise<void> {
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name }).click();
  await page.getByRole("heading", { name, level: 1 }).waitFor();
}

inBrowser(
  "a refusal is found in the picture and explained",
  async () => {
    await page.getByRole("button", { name: /^echo, service/ }).click();
    const about = page.getByRole("complementary", { name: "About echo" });
    await about.getByRole("row", { name: /^v2 1 10 %/ }).waitFor();
    await about.getByRole("button", { name: /^stranger/ }).click();
    const panel = page.getByRole("complementary", { name: "From stranger to echo" });
    await panel.getByText("No rule allows this").waitFor();
    await panel.getByText("ashlar tap --service echo --caller stranger").waitFor();
    await panel.getByRole("link", { name: "Explain this call" }).first().click();
    await page.getByText(/No rule of revision 2 allows it, so it was denied by default/).waitFor();
    await page.getByRole("heading", { name: "The same call now" }).waitFor();
    await page.getByRole("heading", { name: "Denied" }).waitFor();
  },
  60_000,
);

inBrowser(
  "the matrix is what the active revision allows, and can and who-can agree",
  async () => {
    await goTo("Access");
    await page.getByRole("tab", { name: "Matrix" }).click();
    await page.getByLabel("Service").selectOption("echo");
    await page.getByRole("link", { name: "front, test.Echo/Unary: allowed" }).click();
    await page.getByRole("button", { name: "May it call?" }).click();
    await page.getByText("front-calls-echo/allow[0]", { exact: true }).waitFor();
    await page.getByRole("tab", { name: "Who can" }).click();
    await page.getByRole("button", { name: "Who can?" }).click();
    await page.getByRole("row", { name: /^front allowed front-calls-echo/ }).waitFor();
  },
  60_000,
);

inBrowser(
  "a rollback by clicks is one more epoch, noted under the operator",
  async () => {
    await goTo("Revisions");
    // What operators write is text.
    await page.getByText("ten percent <b>to v2</b>").first().waitFor();
    await page.getByRole("link", { name: "Revision 1: front may call" }).click();
    await page.getByRole("button", { name: "Roll back to this" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText(/1 object would change/).waitFor();
    const button = dialog.getByRole("button", { name: "Roll back" });
    await dialog.getByLabel("Why").fill("v2 is slow");
    expect(await button.isDisabled()).toBe(true);
    await dialog.getByLabel(/to confirm$/).fill("roll back 1");
    await button.click();
    await page.getByText("rolled back from 2 to 1").first().waitFor();
    const { revision, epoch } = await mesh.json(0, "status");
    expect([revision, epoch]).toEqual([1, 3]);
    await goTo("Audit");
    await page
      .getByRole("row", { name: /via console.*rollback/ })
      .first()
      .waitFor();
    await page.getByRole("button", { name: "Verify all in this browser" }).click();
    await page.getByText("each names the one before it.").waitFor();
  },
  60_000,
);

inBrowser(
  "a rollout is begun by clicks and watched to its end",
  async () => {
    await goTo("Revisions");
    await page.getByRole("link", { name: /^Revision 2:/ }).click();
    await page.getByRole("button", { name: "Activate in stages" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Stages").fill("1:1s, 100%");
    await dialog.getByLabel("Why").fill("try it again");
    await dialog.getByLabel(/to confirm$/).fill("stage 2");
    await dialog.getByRole("button", { name: "Activate in stages" }).click();
    await page.getByRole("tab", { name: /^Rollout/ }).click();
    await page.getByRole("list", { name: "Stages" }).waitFor();
    await page.locator(".rollout .badge", { hasText: /^done$/ }).waitFor({ timeout: 60_000 });
    expect((await mesh.json(0, "status")).revision).toBe(2);
  },
  120_000,
);

inBrowser(
  "proxies are there with what they evaluate, and a journal that nobody keeps is said to be empty",
  async () => {
    await goTo("Proxies");
    await page
      .getByRole("row", { name: /up to date/ })
      .nth(3)
      .waitFor();
    await page.getByLabel("Search proxies").fill("stranger");
    await page.getByText(/^1 proxy$/).waitFor();
    await goTo("Journal");
    await page.getByText("Nothing was written to a journal").waitFor();
    expect(opened.complaints).toEqual([]);
  },
  60_000,
);

inBrowser(
  "a session that may only look is not offered what it would be refused",
  async () => {
    const other = await browser.open();
    await logIn(other.page, "--read-only");
    await other.page.goto(`${new URL(other.page.url()).origin}/#/revisions/1`);
    const button = other.page.getByRole("button", { name: "Roll back to this" });
    await button.waitFor();
    expect(await button.isDisabled()).toBe(true);
    await other.page.close();
  },
  60_000,
);

inBrowser(
  "without its control plane the console says so, and shows what was last known",
  async () => {
    await goTo("Proxies");
    const rows = page.getByRole("row", { name: /up to date/ });
    await rows.first().waitFor();
    await mesh.up.stop();
    await page.getByRole("alert").filter({ hasText: "No connection to the control plane" }).waitFor();
    await rows.first().waitFor();
  },
  60_000,
);
