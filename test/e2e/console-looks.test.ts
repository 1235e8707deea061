/**
 * How the pages of the console look, over a made-up mesh: every page in light, dark and narrow, with 5 and 200 services, and
 * in the states that a healthy mesh does not have. `npm run pictures` keeps the pictures that docs/console.md shows.
 */
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type BrowserSettings, findChromium, TestBrowser, type TestPage } from "../support/browser.js";
import { type Fixture, type FixtureServer, Refused, serveFixture } from "../support/console/fixture-server.js";
import { faintTexts, unnamedControls } from "../support/console/page-checks.js";
import { shopFixture } from "../support/console/shop-fixture.js";
import { repository } from "../support/mesh.js";
import { until } from "../support/until.js";

const hasBrowser = findChromium() !== undefined;
const inBrowser = hasBrowser ? test : (): void => {};
if (!hasBrowser)
  test("the console is not looked at here: there is no Chromium", () => expect(findChromium()).toBeUndefined());

let browser: TestBrowser;
let server: FixtureServer;
let fixture: Fixture;

beforeAll(async () => {
  if (!hasBrowser) return;
  fixture = shopFixture();
  server = await serveFixture(() => fixture, join(repository, "console/dist"));
  browser = await TestBrowser.start();
}, 60_000);

afterAll(async () => {
  await browser?.close();
  await server?.close();
});

/** Opens a place of the console and waits for what shows that it is there. */
async function look(hash: string, shown: string, settings: BrowserSettings = {}): Promise<TestPage> {
  const opened = await browser.open(settings);
  await opened.page.goto(server.url + hash);
  await opened.page.getByText(shown, { exact: false }).first().waitFor();
  return opened;
}

async function keep({ page }: TestPage, name: string): Promise<void> {
  const folder = process.env.CONSOLE_PICTURES;
  if (folder === undefined) return;
  const path = resolve(repository, folder);
  mkdirSync(path, { recursive: true });
  await page.evaluate("document.fonts.ready");
  await page.screenshot({ path: join(path, `${name}.jpg`), type: "jpeg", quality: 62 });
}

/** Nothing that somebody wrote became an element, and the browser complained of nothing. */
async function expectClean({ page, complaints }: TestPage): Promise<void> {
  const made = "document.querySelectorAll('#console b > *, #console script, #console img, #console iframe').length";
  expect(await page.evaluate(made)).toBe(0);
  // The page may be wider than a phone nowhere: what is wide scrolls by itself.
  expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
  expect(complaints).toEqual([]);
  await page.close();
}

/** Scripts that a browser learned of only from another script, and so had to wait for. */
const scriptsInSeries = ({ page }: TestPage): Promise<unknown> =>
  page.evaluate(`(() => {
    const scripts = performance.getEntriesByType("resource").filter(({ name }) => name.endsWith(".js"));
    const firstMs = Math.min(...scripts.map(({ responseEnd }) => responseEnd));
    return scripts.filter(({ startTime }) => startTime > firstMs).map(({ name }) => name);
  })()`);

const places = [
  ["mesh", "#/mesh", "card-provider"],
  ["mesh-refused", "#/mesh/shopfront%20%E2%86%92%20payments", "No rule of revision 7 allows it"],
  ["revisions", "#/revisions/8?view=changes", "shopfront may read the inventory <b>now</b>"],
  ["rollout", "#/revisions/7?view=rollout", "The stage waits for"],
  ["proxies", "#/proxies", "field 14 is not known"],
  ["access", "#/access", "gateway/storefront"],
  ["explain", "#/access/AZCqu8zd7v8AESIz?view=explain", "<script>alert(1)</script>"],
  ["audit", "#/audit", "<script>alert(1)</script>"],
  ["journal", "#/journal", "outcome unknown"],
] as const;

for (const [name, hash, shown] of places) {
  inBrowser(
    `${name}: light, dark and narrow, with markup as text, a name for each control, and contrast AA`,
    async () => {
      for (const [way, settings] of [
        ["light", {}],
        ["dark", { colorScheme: "dark" }],
        ["narrow", { width: 420, height: 940 }],
      ] as const) {
        const opened = await look(hash, shown, { width: 1280, height: 800, ...settings });
        if (name.startsWith("mesh")) await opened.page.locator(".node").first().waitFor();
        await keep(opened, `${name}-${way}`);
        expect([way, await opened.page.evaluate(unnamedControls)]).toEqual([way, []]);
        expect([way, await opened.page.evaluate(faintTexts)]).toEqual([way, []]);
        await expectClean(opened);
      }
    },
    90_000,
  );
}

inBrowser(
  "the keyboard alone reaches the search, the picture and its boxes, moves, opens and closes",
  async () => {
    const opened = await look("#/mesh", "card-provider");
    const { page } = opened;
    const press = async (...keys: readonly string[]): Promise<void> => {
      for (const key of keys) await page.keyboard.press(key);
    };
    const focused = (selector: string) => page.locator(`${selector}:focus`).waitFor();
    const placed = () => page.locator(".canvas svg > g").getAttribute("transform");
    await press("Tab", "Enter");
    await focused("main"); // by the link that skips what stands around each page
    await press("/");
    await focused("input[type=search]");
    await press("Tab", "Tab", "Tab");
    await focused(".canvas > svg");
    const before = await placed();
    await press("ArrowRight", "+");
    await until("the picture has moved", async () => (await placed()) !== before);
    await press("0");
    await until("all of it is shown again", async () => (await placed()) === before);
    await press("Tab");
    await focused(".node");
    await press("Enter");
    const panel = page.getByRole("complementary", { name: "About card-provider" });
    await panel.waitFor();
    await press("Escape");
    await panel.waitFor({ state: "detached" });
    await expectClean(opened);
  },
  60_000,
);

inBrowser(
  "on a phone the boxes of the picture are large enough to be read",
  async () => {
    const opened = await look("#/mesh", "card-provider", { width: 420 });
    const box = await opened.page.locator(".node .box").first().boundingBox();
    expect(box?.width).toBeGreaterThan(100);
    await expectClean(opened);
  },
  60_000,
);

inBrowser(
  "on a phone the rows of wide tables are hardly higher than on a desk: the tables scroll",
  async () => {
    const highest = async (hash: string, shown: string, width: number): Promise<number> => {
      const opened = await look(hash, shown, { width });
      const rows = "[...document.querySelectorAll('tbody tr:not(.group)')].map((row) => row.offsetHeight)";
      const heights = (await opened.page.evaluate(rows)) as readonly number[];
      await expectClean(opened);
      return Math.max(...heights);
    };
    for (const [hash, shown] of [
      ["#/journal", "outcome unknown"],
      ["#/audit", "<script>alert(1)</script>"],
    ] as const)
      expect((await highest(hash, shown, 420)) - (await highest(hash, shown, 1280))).toBeLessThanOrEqual(40); // two lines
  },
  60_000,
);

inBrowser(
  "on a desk the ledger of proxies has no row that is broken, and is no wider than its frame",
  async () => {
    const opened = await look("#/proxies", "field 14 is not known", { width: 1280, height: 800 });
    const broken = `[...document.querySelectorAll("td .badge + code")].filter((address) =>
      address.getBoundingClientRect().top >= address.previousElementSibling.getBoundingClientRect().bottom).length`;
    expect(await opened.page.evaluate(broken)).toBe(0);
    const wide =
      "[...document.querySelectorAll('.table-frame')].filter((one) => one.scrollWidth > one.clientWidth).length";
    expect(await opened.page.evaluate(wide)).toBe(0);
    await expectClean(opened);
  },
  60_000,
);

inBrowser(
  "on a phone what was chosen comes into view",
  async () => {
    for (const [hash, chosen] of [
      ["#/mesh/shopfront%20%E2%86%92%20payments", "shopfront → payments"],
      ["#/revisions/7?view=policy", "refunds need the claim team=money"],
    ] as const) {
      const opened = await look(hash, chosen, { width: 420, height: 940 });
      const heading = opened.page.getByRole("heading", { name: chosen });
      await heading.waitFor();
      await until(`${chosen} is in view`, async () => ((await heading.boundingBox())?.y ?? 940) < 470);
      await expectClean(opened);
    }
  },
  60_000,
);

inBrowser(
  "200 services are drawn, searched, and those that fail stand out",
  async () => {
    fixture = shopFixture({ services: 200 });
    const askedBefore = server.asked.filter(({ method }) => method === "GetRevision").length;
    const opened = await look("#/mesh", "service-199", { colorScheme: "dark" });
    await keep(opened, "mesh-200");
    expect(await opened.page.locator(".node").count()).toBe(202);
    expect(await scriptsInSeries(opened)).toEqual([]);
    const asked = server.asked.filter(({ method }) => method === "GetRevision").slice(askedBefore);
    expect(asked.map(({ request }) => request)).toEqual([{ asJson: true }]);
    await opened.page.getByLabel("Search services").fill("service-199");
    await opened.page.getByText("1 found").waitFor();
    await expectClean(opened);
    fixture = shopFixture();
  },
  90_000,
);

inBrowser(
  "what fails says why and can be tried again; what is empty says what to do",
  async () => {
    const refuse = (): never => {
      throw new Refused("unavailable", "the logs cannot be read: NATS does not answer", 503);
    };
    fixture = { ...fixture, unary: { ...fixture.unary, ListProxies: refuse, ListAudit: refuse } };
    const opened = await look("#/proxies", "Could not load the proxies");
    await opened.page.getByText("NATS does not answer").first().waitFor();
    await keep(opened, "failed");
    fixture = { ...fixture, unary: { ...fixture.unary, ListProxies: () => ({}), GetConvergence: () => ({}) } };
    await opened.page.getByRole("button", { name: "Try again" }).first().click();
    await opened.page.getByText("No proxy has joined yet").waitFor();
    await keep(opened, "empty");
    await expectClean(opened);
    fixture = shopFixture();
  },
  60_000,
);

inBrowser(
  "what an activation changes is loaded once at the start, and once more for each later activation",
  async () => {
    const present = fixture.streams.WatchActivations?.first({})[0] as { readonly activation: object } | undefined;
    const before = server.asked.length;
    const count = (method: string): number => server.asked.slice(before).filter((one) => one.method === method).length;
    let sent = 0;
    // the later activation comes once the matrix was asked for, or the page would have both from the start
    const next = (): unknown => {
      if (count("DiffRevisions") === 0) return present;
      sent += 1;
      return { activation: { ...present?.activation, epoch: 13 } };
    };
    fixture = {
      ...fixture,
      streams: { ...fixture.streams, WatchActivations: { first: () => [present], next, everyMs: 300 } },
    };
    const opened = await look("#/access", "gateway/storefront");
    await until("the activation of epoch 13 has the matrix loaded again", () => count("DiffRevisions") === 2);
    const seen = sent;
    await until("the same activation has come again and again", () => sent > seen + 5);
    expect(count("DiffRevisions")).toBe(2);
    await expectClean(opened);
    fixture = shopFixture();
  },
  60_000,
);

inBrowser(
  "without a connection the page says so, and finds back by itself",
  async () => {
    const opened = await look("#/proxies", "field 14 is not known");
    server.setAway(true);
    await opened.page.getByRole("alert").filter({ hasText: "No connection" }).waitFor();
    await keep(opened, "disconnected");
    server.setAway(false);
    await opened.page.getByText("No connection").waitFor({ state: "detached", timeout: 30_000 });
    await expectClean(opened);
  },
  60_000,
);

inBrowser(
  "an activation is asked for with the epoch that was seen, and only once the word is typed",
  async () => {
    const opened = await look("#/revisions/8", "Activate at once");
    await opened.page.getByRole("button", { name: "Activate at once" }).click();
    const dialog = opened.page.getByRole("dialog");
    await dialog.getByText("1 call loses access").waitFor();
    await dialog.getByLabel("Why").fill("reviewed");
    await keep(opened, "activate");
    const button = dialog.getByRole("button", { name: "Activate at once" });
    expect(await button.isDisabled()).toBe(true);
    await dialog.getByLabel(/to confirm$/).fill("activate 8");
    await button.click();
    await dialog.waitFor({ state: "detached" });
    expect(server.asked.find(({ method }) => method === "ActivateRevision")?.request).toEqual({
      revision: 8,
      reason: "reviewed",
      expectedEpoch: "12",
      endRollout: false,
    });
    await expectClean(opened);
  },
  60_000,
);
