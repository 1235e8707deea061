/** docs/metrics.md has every metric that a real proxy serves, with its type, labels and meaning, and no other. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { answerReasons } from "../../data-plane/proxy/answer.js";
import { overloadCauses } from "../../data-plane/proxy/overload.js";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { freePorts } from "../support/free-ports.js";
import { TestMesh } from "../support/mesh.js";
import { until } from "../support/until.js";

interface Metric {
  readonly type: string;
  readonly help: string;
  readonly labels: ReadonlySet<string>;
}

const page = readFileSync("docs/metrics.md", "utf8");
const [alone = 0, withWorkers = 0, ofControlPlane = 0] = await freePorts(3);
let mesh: TestMesh;
const clients: EchoClient[] = [];

beforeAll(async () => {
  mesh = await TestMesh.start("test", ["--status", `127.0.0.1:${ofControlPlane}`]);
  const [echo, front] = await Promise.all([
    mesh.proxy({ name: "echo", service: "echo", flags: ["--workers", "2", "--status", `127.0.0.1:${withWorkers}`] }),
    mesh.proxy({ name: "front", service: "front", flags: ["--status", `127.0.0.1:${alone}`] }),
  ]);
  await mesh.app(echo, "echo");
  await mesh.apply(frontMayCall);
  await mesh.healthy("echo", 1);
  clients.push(new EchoClient(front.outbound, "echo"), new EchoClient(front.outbound, "nobody"));
}, 120_000);

afterAll(async () => {
  for (const client of clients) client.close();
  await mesh?.stop();
}, 60_000);

/** The rows of the page's tables, by name. */
function documented(): Map<string, Metric> {
  const row = /^\| `(\w+)` \| (\w+) \| ([^|]*)\| [^|]+ \| (.+) \|$/gm;
  return new Map(
    [...page.matchAll(row)].map(([, name = "", type = "", labels = "", help = ""]) => [
      name,
      { type, help, labels: new Set([...labels.matchAll(/`(\w+)`/g)].map((match) => match[1] ?? "")) },
    ]),
  );
}

/** What a scrape has, by name; a histogram's series count for it. */
function read(text: string): Map<string, Metric> {
  const metrics = new Map<string, Metric & { readonly labels: Set<string> }>();
  const helps = new Map([...text.matchAll(/^# HELP (\w+) (.*)$/gm)].map((match) => [match[1], match[2] ?? ""]));
  for (const [, name = "", type = ""] of text.matchAll(/^# TYPE (\w+) (\w+)$/gm))
    metrics.set(name, { type, help: helps.get(name) ?? "", labels: new Set() });
  for (const [, series = "", labels = ""] of text.matchAll(/^(\w+)\{(.*)\} \S+$/gm)) {
    const metric = metrics.get(series) ?? metrics.get(series.replace(/_(?:bucket|sum|count)$/, ""));
    for (const [, label = ""] of labels.matchAll(/(\w+)="/g)) metric?.labels.add(label);
  }
  return metrics;
}

const scrape = async (port: number): Promise<Map<string, Metric>> =>
  read(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text());

test("the page and two real proxies, one with workers, and a control plane have the same metrics", async () => {
  await until("a call is answered and one is refused", async () => {
    const [good, refused] = await Promise.all(
      clients.map((client) => client.unary({ text: "?" }, { deadlineMs: 5000 })),
    );
    return good?.code === 0 && refused?.code === 14;
  });
  const [one, many] = [await scrape(alone), await scrape(withWorkers)];
  const control = await scrape(ofControlPlane);
  const served = new Map([...one, ...many, ...control]);
  const told = documented();
  expect([...told.keys()].sort()).toEqual([...served.keys()].sort());
  expect([...one.keys()].filter((name) => !many.has(name))).toEqual([]);
  for (const [name, { type, help }] of served) expect([name, told.get(name)]).toMatchObject([name, { type, help }]);
  for (const [name, { labels }] of [...one, ...many, ...control])
    if (labels.size > 0) expect([name, [...labels].sort()]).toEqual([name, [...(told.get(name)?.labels ?? [])].sort()]);
}, 60_000);

const hasPromtool = spawnSync("promtool", ["--version"]).status === 0;
test(`promtool ${hasPromtool ? "reads" : "is not installed, so it does not read"} what proxies and control planes serve`, async () => {
  if (!hasPromtool) return;
  for (const port of [alone, withWorkers, ofControlPlane]) {
    const input = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const { status, stderr } = spawnSync("promtool", ["check", "metrics"], { input });
    expect([status === 1, status === 1 ? String(stderr) : ""]).toEqual([false, ""]); // 3: names that it likes less
  }
});

test("the page has every value of the labels whose values are a closed list", () => {
  for (const word of [...answerReasons, ...overloadCauses]) expect(page).toContain(`\`${word}\``);
});
