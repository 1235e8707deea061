/**
 * Every expression of the dashboards and rules in deploy/ has data from a mesh that carries calls, as a real Prometheus
 * scrapes it: calls that are answered, that fail, that are refused, and spans whose receiver is not there. Where
 * Prometheus is not installed nothing is scraped.
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { stringify } from "yaml";
import { readPanels, readRules, rulesFile } from "../support/deploy-expressions.js";
import { EchoClient } from "../support/echo-client.js";
import { frontMayCall } from "../support/echo-policy.js";
import { freePort } from "../support/free-ports.js";
import { repository, TestMesh } from "../support/mesh.js";
import { TestProcess } from "../support/processes.js";
import { until } from "../support/until.js";

const hasPrometheus = spawnSync("prometheus", ["--version"]).status === 0;
const withPrometheus = hasPrometheus ? test : (): void => {};
if (!hasPrometheus)
  test("the dashboards are not asked for data here: there is no Prometheus", () => expect(hasPrometheus).toBe(false));

const traced = `${frontMayCall}---
kind: Telemetry
name: echo
service: echo
traces: { share: 100% }
`;

const { alerts, recorded } = readRules();
let mesh: TestMesh;
let prometheus: TestProcess;
let url: string;
const clients: EchoClient[] = [];

async function startPrometheus(targets: readonly string[]): Promise<void> {
  const config = join(mesh.dir, "prometheus.yaml");
  const every = "500ms";
  const file = {
    global: { scrape_interval: every, scrape_timeout: every, evaluation_interval: every },
    rule_files: [join(repository, rulesFile)],
    scrape_configs: [{ job_name: "ashlar", static_configs: [{ targets }] }],
  };
  writeFileSync(config, stringify(file));
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  prometheus = new TestProcess("prometheus", "prometheus", [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(mesh.dir, "prometheus")}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ]);
}

beforeAll(async () => {
  if (!hasPrometheus) return;
  const status = async (): Promise<string> => `127.0.0.1:${await freePort()}`;
  const [ofControlPlane, ofEcho, ofFront, ofStranger, nobody] = await Promise.all(
    Array.from({ length: 5 }, () => status()),
  );
  mesh = await TestMesh.start("test", ["--status", ofControlPlane ?? ""]);
  const flags = ["--otlp", `http://${nobody}`];
  const [echo, front, stranger] = await Promise.all([
    mesh.proxy({ name: "echo", service: "echo", flags: [...flags, "--status", ofEcho ?? ""] }),
    mesh.proxy({ name: "front", service: "front", flags: [...flags, "--status", ofFront ?? ""] }),
    mesh.proxy({ name: "stranger", service: "stranger", flags: ["--status", ofStranger ?? ""] }),
  ]);
  await mesh.app(echo, "echo");
  await mesh.apply(traced);
  await mesh.healthy("echo", 1);
  clients.push(new EchoClient(front.outbound, "echo"), new EchoClient(stranger.outbound, "echo"));
  await startPrometheus([ofControlPlane, ofEcho, ofFront, ofStranger].map((one) => one ?? ""));
}, 120_000);

afterAll(async () => {
  for (const client of clients) client.close();
  await prometheus?.stop();
  await mesh?.stop();
}, 60_000);

/** Calls that are answered, that fail with UNKNOWN, and that policy refuses. */
async function callAbout(): Promise<void> {
  const [front, stranger] = clients;
  const calls = [front?.unary({ text: "?" }), front?.unary({ status: 2 }), stranger?.unary({ text: "?" })];
  await Promise.all(calls);
}

async function ask(expr: string): Promise<readonly number[]> {
  const body = new URLSearchParams({ query: expr });
  const answer = await fetch(`${url}/api/v1/query`, { method: "POST", body }).catch(() => undefined);
  const { status, error, data } = ((await answer?.json()) ?? {}) as {
    readonly status?: string;
    readonly error?: string;
    readonly data?: { readonly resultType: string; readonly result: readonly { readonly value: [number, string] }[] };
  };
  if (status === "error") throw new Error(`${expr}: ${error}`);
  if (data?.resultType === "scalar") return [0];
  return (data?.result ?? []).map(({ value }) => Number(value[1])).filter((value) => !Number.isNaN(value));
}

/**
 * Returns what an alert compares, because a mesh in which all is well must not fulfil it: without data on either side
 * the alert could never be raised.
 */
const sidesOf = (expr: string): readonly string[] => expr.split(/ (?:>|<|==) /);

withPrometheus(
  "every expression has data",
  async () => {
    const panels = readPanels().map(([where, expr]) => [where, expr.replaceAll("$service", ".*")] as const);
    const compared = alerts.flatMap(([where, expr]) => sidesOf(expr).map((side) => [where, side] as const));
    const wanted = [...compared, ...recorded, ...panels];
    expect(wanted.length).toBeGreaterThan(35);
    const lacking = new Map(wanted.map(([where, expr]) => [expr, where]));
    await until(
      "every expression has data",
      async () => {
        await callAbout();
        for (const expr of lacking.keys()) if ((await ask(expr)).length > 0) lacking.delete(expr);
        return lacking.size === 0;
      },
      60_000,
      () => JSON.stringify([...lacking]),
    );
  },
  90_000,
);

withPrometheus(
  "Prometheus evaluates every rule without an error, and has the recorded series",
  async () => {
    const answer = await fetch(`${url}/api/v1/rules`);
    type Told = { data: { groups: { rules: { name: string; health: string; lastError?: string }[] }[] } };
    const { data } = (await answer.json()) as Told;
    const rules = data.groups.flatMap((group) => group.rules);
    const named = [...alerts, ...recorded].map(([name]) => name);
    expect(rules.map(({ name }) => name).sort()).toEqual(named.sort());
    expect(rules.filter(({ health }) => health === "err")).toEqual([]);
    await until("recorded series have data", async () => {
      await callAbout();
      return (await Promise.all(recorded.map(([name]) => ask(name)))).every((values) => values.length > 0);
    });
  },
  60_000,
);
