import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { renderService } from "../../control-plane/admin/admin-messages.js";
import { operatedBy } from "../../control-plane/admin/operated.js";
import { lookMethods } from "../../control-plane/look/look-methods.js";
import { systemClock } from "../../runtime/clock.js";
import type { BoundService } from "../../runtime/grpc-handlers.js";
import { TestBrowser, type TestPage } from "../../test/support/browser.js";
import { serveFixture } from "../../test/support/console/fixture-server.js";
import { shopFixture } from "../../test/support/console/shop-fixture.js";
import { mesh, openTestConsole } from "../../test/support/console.js";
import { numberFlag, readFlags } from "../options.js";
import { machine, median, printTable } from "../proxy/contenders.js";
import { WatchedMesh } from "./control-plane.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:console -- [--services 200] [--rate 2000] [--seconds 20] [--opens 5] [--only control-plane|browser]
The console with so many services and calls a second: what it costs a control plane while a browser follows the picture
(simulated proxies in a process of their own sign reports of their calls), and in Chromium, where it is installed: the first
view, tasks over 50 ms while the picture is panned and its figures change each second, and the bytes of script.`,
  example: "npm run bench:console -- --seconds 5 --opens 2",
});
const services = numberFlag(flags, "services", 200);
const callsPerSecond = numberFlag(flags, "rate", 2000);
const seconds = numberFlag(flags, "seconds", 20);
const opens = numberFlag(flags, "opens", 5);
const dist = resolve(import.meta.dirname, "../../../console/dist");

/** Returns the share of a core in percent with nobody and with one browser's stream of events. */
async function measureControlPlane(): Promise<readonly [string, string][]> {
  const watched = new WatchedMesh({ services, callsPerSecond });
  const deps = { mesh, audit: { record: async () => {} } as never, logins: { note: async () => {} } };
  const judge = { revocationOf: () => undefined };
  const implementation = {
    ...lookMethods({ ...deps, ...watched.looking, clock: systemClock }),
    listServices: operatedBy(deps)(() => {
      const listed = watched.registry.list(watched.fleet.list(), new Set(), { ...judge, nowMs: systemClock.nowMs() });
      return { services: listed.map(renderService) };
    }),
  } as unknown as BoundService["implementation"];
  const served = await openTestConsole(implementation, { plain: true });
  const cookie = await served.logIn();
  const share = async (): Promise<number> => {
    const before = process.cpuUsage();
    await pause(seconds * 1000);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / seconds / 10_000;
  };
  await pause(5000); // until each proxy was heard once, so that its certificate is known
  const alone = await share();
  watched.isDeaf = true;
  const handedOver = await share();
  watched.isDeaf = false;
  const reader = follow(`${served.origin}/api/stream/WatchTraffic`, cookie);
  const asking = setInterval(() => void served.call(cookie, "ListServices"), 5000);
  await pause(3000);
  const followed = await share();
  clearInterval(asking);
  reader.kill();
  served.close();
  watched.close();
  return [
    ["control plane, nobody looks, % of a core", alone.toFixed(2)],
    ["of that to hand over messages from the bench's proxies, without reading one", handedOver.toFixed(2)],
    ["control plane, a browser follows the picture", followed.toFixed(2)],
    ["of that more than while nobody looks", (followed - alone).toFixed(2)],
  ];
}

/** Follows events in a process of its own, as a browser does. */
function follow(url: string, cookie: string): ChildProcess {
  const code =
    "const { url, cookie } = JSON.parse(process.argv[1]); for await (const _ of (await fetch(url, { headers: { cookie } })).body);";
  const args = ["--input-type=module", "-e", code, JSON.stringify({ url, cookie })];
  return spawn(process.execPath, args, { stdio: "inherit" });
}

/** Returns the compressed size of all scripts, in bytes. */
function scriptBytes(): number {
  const scripts = readdirSync(dist).filter((name) => name.endsWith(".js"));
  return scripts.reduce((sum, name) => sum + gzipSync(readFileSync(join(dist, name)), { level: 9 }).length, 0);
}

const watchTasks = `
  window.longTasks = [];
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) window.longTasks.push(duration);
  }).observe({ type: "longtask", buffered: true });`;

interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  /** The CPU time in microseconds. */
  readonly tdur?: number;
  readonly args?: { readonly name?: string };
}

interface Tasks {
  /** The tasks that took over 50 ms of wall-clock time, as PerformanceObserver reports them. */
  readonly byClock: readonly number[];
  /** The CPU time of each task of the page's main thread, in milliseconds. */
  readonly byCpu: readonly number[];
}

/** Drags the picture about for some time and returns the tasks of that time. */
async function pan({ page }: TestPage): Promise<Tasks> {
  await page.evaluate("void (window.longTasks.length = 0)");
  const box = await page.locator("svg").first().boundingBox();
  const [x, y] = [(box?.x ?? 0) + 400, (box?.y ?? 0) + 300];
  const browser = page.context().browser();
  await browser?.startTracing(page, { categories: ["disabled-by-default-devtools.timeline", "__metadata"] });
  await page.mouse.move(x, y);
  await page.mouse.down();
  const endMs = performance.now() + seconds * 1000;
  for (let step = 0; performance.now() < endMs; step++) {
    await page.mouse.move(x + Math.sin(step / 10) * 200, y + Math.cos(step / 7) * 120);
    await pause(16);
  }
  await page.mouse.up();
  const byClock = (await page.evaluate("window.longTasks")) as number[];
  const { traceEvents }: { readonly traceEvents: readonly TraceEvent[] } = JSON.parse(
    String(await browser?.stopTracing()),
  );
  const threadOf = ({ pid, tid }: TraceEvent): string => `${pid} ${tid}`;
  const main = new Set(traceEvents.filter(({ args }) => args?.name === "CrRendererMain").map(threadOf));
  const tasks = traceEvents.filter((event) => event.name === "RunTask" && main.has(threadOf(event)));
  return { byClock, byCpu: tasks.map(({ tdur = 0 }) => tdur / 1000) };
}

/** Returns a function that reads how much CPU time the page's main thread has used, in milliseconds. */
async function cpuOf({ page }: TestPage): Promise<() => Promise<number>> {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  return async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    return (metrics.find(({ name }) => name === "TaskDuration")?.value ?? 0) * 1000;
  };
}

async function measureBrowser(): Promise<readonly [string, string][]> {
  const fixture = shopFixture({ services });
  const served = await serveFixture(() => fixture, dist);
  const browser = await TestBrowser.start();
  try {
    const firstMs: number[] = [];
    const firstCpuMs: number[] = [];
    let tasks: Tasks = { byClock: [], byCpu: [] };
    for (let turn = 0; turn < opens; turn++) {
      const opened = await browser.open();
      await opened.page.addInitScript(watchTasks);
      const readCpuMs = await cpuOf(opened);
      await opened.page.goto(`${served.url}#/mesh`);
      await opened.page
        .getByText(`service-${services - 1}`)
        .first()
        .waitFor();
      firstMs.push(Number(await opened.page.evaluate("performance.now()")));
      firstCpuMs.push(await readCpuMs());
      if (turn === opens - 1) tasks = await pan(opened);
      await opened.page.close();
    }
    const over = tasks.byCpu.filter((ms) => ms > 50);
    return [
      [`first view of ${services} services, ms, median`, median(firstMs).toFixed(0)],
      ["the page's main thread until then, ms of CPU, median", median(firstCpuMs).toFixed(0)],
      [`tasks over 50 ms of CPU in ${seconds} s of panning`, `${over.length} of ${tasks.byCpu.length}`],
      ["the longest of them, ms of CPU", Math.max(0, ...tasks.byCpu).toFixed(1)],
      ["tasks over 50 ms by the clock", String(tasks.byClock.length)],
      ["the longest of them, ms", Math.max(0, ...tasks.byClock).toFixed(0)],
    ];
  } finally {
    await browser.close();
    await served.close();
  }
}

const only = flags.get("only")?.[0];
const rows: (readonly [string, string])[] = [["script, compressed, kB", (scriptBytes() / 1000).toFixed(1)]];
if (only !== "browser") rows.push(...(await measureControlPlane()));
if (only !== "control-plane") rows.push(...(await measureBrowser()));
console.log(`${machine()}, ${services} services, ${callsPerSecond} calls/s`);
printTable(["what", "figure"], rows as [string, string][]);
process.exit();
