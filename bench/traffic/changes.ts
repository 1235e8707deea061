/**
 * P8 for traffic: counts calls and streams that fail while activations move weights, rewrite methods and change
 * authorization.
 */
import { resolve } from "node:path";
import { Child, pause } from "../../test/conformance/child.js";
import { activate, type BenchMesh, publish, withMesh } from "../convergence/bench-mesh.js";
import { median, quantile, render } from "../convergence/figures.js";
import { printTable } from "../proxy/contenders.js";
import { type Counted, RestartLoad } from "../restarts/load.js";

const root = resolve(import.meta.dirname, "../../..");
const weights = [0, 1, 10, 50, 90, 100] as const; // the weight of v2, in percent
const settleMs = 1000;

/**
 * Ways to authorize the load. Each allows it, by one rule or another, under the old method name and under the new one.
 */
const accesses = [
  'allow: [{ from: [front], methods: ["test.Echo/*"] }]',
  "allow: [{ from: [front], methods: [test.Echo/Unary, test.Echo/Forbidden, test.Echo/Bidi] }, { from: [guest], methods: ['*'] }]",
  'allow: [{ from: ["*"], methods: [test.Echo/Unary, test.Echo/Bidi, test.Echo/Forbidden] }]\ndeny: [{ from: [guest] }]',
] as const;

/** Returns every weight with and without the rewrite, each under every authorization: 36 policies. */
function policies(): readonly string[] {
  const all = weights.flatMap((weight) =>
    [false, true].flatMap((moved) => accesses.map((access) => [weight, moved, access] as const)),
  );
  return all.map(([weight, moved, access]) => {
    const split = `split: [{ version: v1, weight: ${100 - weight} }, { version: v2, weight: ${weight} }]`;
    const rewrite = moved ? "rewrite: { method: test.Echo/Forbidden }" : "timeout: 20s";
    return `kind: Service
name: echo
methods: [test.Echo/Unary, test.Echo/Forbidden, test.Echo/Bidi]
---
kind: Service
name: front
---
kind: Service
name: guest
---
kind: Authorization
name: calls
service: echo
${access}
---
kind: Route
name: echo
service: echo
rules:
  - match: { methods: [test.Echo/Unary] }
    ${split}
    ${rewrite}
  - ${split}
`;
  });
}

/** The step from one policy to the next, so that weight, rewrite and authorization all change most of the time. */
const step = 7;

export async function measureChanges(activations: number): Promise<void> {
  console.log(`\n### ${activations} activations that move weights, rewrite a method and change authorization\n`);
  await withMesh((mesh) => measure(mesh, activations));
}

async function measure({ mesh, admin }: BenchMesh, activations: number): Promise<void> {
  const apps: Child[] = [];
  const loads: RestartLoad[] = [];
  try {
    for (const version of ["v1", "v2"]) {
      const path = `${mesh.dir}/${version}.sock`;
      const app = new Child(version, [
        `${root}/test/support/echo-app.mjs`,
        "--version",
        version,
        "--listen",
        `unix:${path}`,
      ]);
      apps.push(app);
      await app.said("ready");
      await mesh.proxy({ name: version, service: "echo", version, app: path });
    }
    const { outbound } = await mesh.proxy({ name: "front", service: "front" });
    const all = policies();
    const change = async (index: number): Promise<number> => {
      const content = all[(index * step) % all.length] ?? "";
      return (await activate(admin, await publish(admin, [{ name: "policy.yaml", content }]))).tookMs;
    };
    await change(0);
    await mesh.healthy("echo");
    await pause(settleMs);
    const target = `unix:${outbound}`;
    const unary = new RestartLoad({ target, kind: "unary", waitForReady: false, lanes: 8 });
    const streams = new RestartLoad({ target, kind: "stream", waitForReady: false, lanes: 8 });
    const whole = { kind: "stream", streamMessages: Number.POSITIVE_INFINITY } as const;
    const long = new RestartLoad({ target, ...whole, waitForReady: false, lanes: 8 });
    loads.push(unary, streams, long);
    await pause(settleMs);
    const tookMs: number[] = [];
    const startMs = performance.now();
    for (let index = 1; index <= activations; index += 1) tookMs.push(await change(index));
    const seconds = (performance.now() - startMs) / 1000;
    await Promise.all(loads.splice(0).map((load) => load.stop()));
    report({ activations, seconds, tookMs }, [unary.take(), streams.take(), long.take()]);
  } finally {
    await Promise.all(loads.map((load) => load.stop()));
    for (const app of apps) await app.stop();
  }
}

interface Run {
  readonly activations: number;
  readonly seconds: number;
  readonly tookMs: readonly number[];
}

function report({ activations, seconds, tookMs }: Run, counted: readonly Counted[]): void {
  const failed = counted.reduce((sum, one) => sum + one.failed, 0);
  const each = counted.map((one) => `${one.calls} / ${one.failed}`);
  const rpc = [median(tookMs), quantile(tookMs, 0.99)].map(render).join(", ");
  const columns = ["activations", "in s", "RPC ms: median, p99", "calls / failed", "streams of 3 s / failed"];
  columns.push("streams of the whole run / failed", "aim");
  const aim = `0 failed: ${failed === 0 ? "met" : "missed"}`;
  printTable(columns, [[String(activations), seconds.toFixed(0), rpc, ...each, aim]]);
  for (const [why, count] of counted.flatMap((one) => [...one.why])) console.log(`failed: ${count} × ${why}`);
  if (failed > 0) process.exitCode = 1;
}
