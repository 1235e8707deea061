/** Counts how many calls fail while every application and every proxy is restarted, one after another. */
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { Child, pause } from "../../test/conformance/child.js";
import { Mesh, type MeshProxy } from "../../test/conformance/mesh.js";
import { until } from "../../test/support/until.js";
import { numberFlag, readFlags } from "../options.js";
import { machine, printTable } from "../proxy/contenders.js";
import { type Counted, RestartLoad } from "./load.js";

const flags = readFlags(process.argv.slice(2), {
  text: `npm run bench:restarts -- [--rounds 3]
Restarts each application and each proxy in turn, and kills one instance of two, under calls and streams of 3 s; prints what failed.`,
  example: "npm run bench:restarts -- --rounds 1",
});

const settleMs = 1500;
const policy = `kind: Service
name: echo
idempotent: [test.Echo/Unary]
---
kind: Service
name: front
---
kind: Authorization
name: front
service: echo
allow: [{ from: [front], methods: ["test.Echo/*"] }]
---
kind: Route
name: echo
service: echo
rules:
  - match: { methods: [test.Echo/Unary] }
    retry: { attempts: 3, on: [UNAVAILABLE], backoff: 25ms }
  - match: {}
`;

type Loads = Readonly<Record<string, RestartLoad>>;
type Step = readonly [name: string, run: () => Promise<void>];

const root = resolve(import.meta.dirname, "../../..");
const mesh = new Mesh(root);
const others: Child[] = [];

async function startApplication(proxy: MeshProxy): Promise<Child> {
  const agent = `unix:${proxy.dir}/agent.sock`;
  const args = [`${root}/test/support/echo-app.mjs`, "--agent", agent, "--service", "echo", "--version", proxy.name];
  const app = new Child(`application ${proxy.name}`, args);
  others.push(app);
  await app.said("ready");
  return app;
}

/** Starts a proxy again with the same command line, while the former process runs or after it. */
async function startAgain(proxy: MeshProxy, args: readonly string[]): Promise<Child> {
  const child = new Child(`proxy ${proxy.name} again`, args);
  others.push(child);
  await child.said("ready");
  return child;
}

async function healthy(count: number): Promise<void> {
  await until(`echo has ${count} healthy instances`, async () => {
    const services: { name: string; endpoints: { healthy: boolean }[] }[] = JSON.parse(
      await mesh.mustRun("services", "-o", "json"),
    );
    return services.find(({ name }) => name === "echo")?.endpoints.filter((one) => one.healthy).length === count;
  });
}

function commandOf({ service, dir }: MeshProxy, more: readonly string[]): readonly string[] {
  return [
    ...[mesh.cli, "proxy", "--service", service, "--join", `${mesh.data}/join.json`, "--data", `${dir}/data`],
    ...["--inbound", "127.0.0.1:0", "--outbound", `unix:${dir}/out.sock`, "--log-level", "warn", ...more],
  ];
}

const agentOf = (name: string): string => `unix:${mesh.dir}/${name}/agent.sock`;

async function run(): Promise<void> {
  await mesh.start();
  writeFileSync(`${mesh.dir}/policy.yaml`, policy);
  const one = await mesh.proxy({ name: "one", service: "echo", flags: ["--agent", agentOf("one")] });
  const two = await mesh.proxy({ name: "two", service: "echo", flags: ["--agent", agentOf("two")] });
  const front = await mesh.proxy({ name: "front", service: "front" });
  const apps = new Map<MeshProxy, Child>();
  for (const proxy of [one, two]) apps.set(proxy, await startApplication(proxy));
  await mesh.mustRun("apply", "-f", `${mesh.dir}/policy.yaml`, "--wait");
  await healthy(2);
  const running = new Map([one, two, front].map((proxy) => [proxy, proxy.child]));
  const more = (proxy: MeshProxy): readonly string[] => (proxy === front ? [] : ["--agent", agentOf(proxy.name)]);

  const takeOver = async (proxy: MeshProxy): Promise<void> => {
    const before = running.get(proxy);
    running.set(proxy, await startAgain(proxy, commandOf(proxy, more(proxy))));
    await before?.exited;
    await healthy(2);
  };
  const stopAndStart = async (proxy: MeshProxy): Promise<void> => {
    await running.get(proxy)?.stop();
    running.set(proxy, await startAgain(proxy, commandOf(proxy, more(proxy))));
    await healthy(2);
  };
  const endApplication = async (proxy: MeshProxy, signal: "SIGTERM" | "SIGKILL"): Promise<void> => {
    const app = apps.get(proxy);
    if (app === undefined) return;
    process.kill(app.pid, signal);
    await app.exited;
    apps.set(proxy, await startApplication(proxy));
    await healthy(2);
  };
  const steps: readonly Step[] = [
    ["each application: SIGTERM, then start", () => inTurn([one, two], (proxy) => endApplication(proxy, "SIGTERM"))],
    ["each proxy: a successor takes over", () => inTurn([one, two, front], takeOver)],
    ["each proxy of the service: SIGTERM, then start", () => inTurn([one, two], stopAndStart)],
    ["the callers' own proxy: SIGTERM, then start", () => stopAndStart(front)],
    ["kill -9 of one application of two", () => endApplication(one, "SIGKILL")],
  ];
  await measure(steps, { target: `unix:${front.outbound}` });
}

async function inTurn(proxies: readonly MeshProxy[], work: (proxy: MeshProxy) => Promise<void>): Promise<void> {
  for (const proxy of proxies) await work(proxy);
}

async function measure(steps: readonly Step[], { target }: { readonly target: string }): Promise<void> {
  const load = (kind: "unary" | "stream", waitForReady: boolean, lanes: number): RestartLoad =>
    new RestartLoad({ target, kind, waitForReady, lanes });
  const loads: Loads = {
    "unary, waiting": load("unary", true, 4),
    "unary, not waiting": load("unary", false, 4),
    "streams, waiting": load("stream", true, 8),
  };
  await pause(settleMs);
  const rows: string[][] = [];
  const reasons: string[] = [];
  for (let round = 0; round < numberFlag(flags, "rounds", 3); round += 1) {
    for (const [name, work] of steps) {
      for (const one of Object.values(loads)) one.take();
      await work();
      await pause(settleMs);
      const counted = Object.entries(loads).map(([kind, one]): readonly [string, Counted] => [kind, one.take()]);
      rows.push([name, ...counted.map(([, { calls, failed }]) => `${failed} of ${calls}`)]);
      for (const [kind, { why }] of counted)
        for (const [text, count] of why) reasons.push(`${name}; ${kind}: ${count} × ${text}`);
    }
  }
  for (const one of Object.values(loads)) await one.stop();
  console.log(machine());
  printTable(["restarted", ...Object.keys(loads).map((kind) => `failed: ${kind}`)], rows);
  for (const reason of reasons) console.log(`- ${reason}`);
}

try {
  await run();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
} finally {
  for (const child of others.reverse()) await child.stop();
  await mesh.stop();
}
