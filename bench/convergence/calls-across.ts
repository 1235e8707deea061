/** P8: how many calls fail during activations that take away no access which the calls use. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { PolicyFile } from "../../core/model.js";
import { pause } from "../../test/conformance/child.js";
import { whenKilled } from "../../test/conformance/when-killed.js";
import { type LoadFigures, printTable } from "../proxy/contenders.js";
import { meshPolicy } from "../proxy/mesh.js";
import type { Processes } from "../proxy/pair.js";
import { startEcho } from "../proxy/pair.js";
import { runBench } from "../proxy/run-bench.js";
import { activate, type BenchMesh, publish, withMesh } from "./bench-mesh.js";
import { median, quantile, render } from "./figures.js";

export interface CallsAcrossOptions {
  readonly activations: number;
  /** The number of calls per second. */
  readonly rate: number;
}

const loadSecondsMax = 1200;
const beforeMs = 2000;
const guestMayNot = "deny:\n  - from: [guest]\n";
const guestMayCall = "  - from: [guest]\n    methods: [bench.Echo/Call]\n";

/**
 * Returns two policies that differ in the unit of the called service: another caller's access changes, the load's does
 * not.
 */
function policiesOf(policy: string): readonly PolicyFile[] {
  const other = policy.replace(guestMayNot, guestMayCall);
  if (other === policy) throw new Error("the policy of the bench does not have the rule that this changes");
  return [policy, other].map((content) => ({ name: "policy.yaml", content }));
}

/** Runs load through two proxies, each a process, while a control plane activates. */
export async function measureCallsAcross(options: CallsAcrossOptions): Promise<void> {
  console.log(`\n### P8: calls across ${options.activations} activations, ${options.rate} calls/s\n`);
  await runBench((processes) => withMesh((mesh) => measure(processes, mesh, options)));
}

async function measure(processes: Processes, bench: BenchMesh, options: CallsAcrossOptions): Promise<void> {
  const { mesh, admin } = bench;
  const echo = await startEcho(processes);
  const inbound = await mesh.proxy({ name: "echo", service: "echo", flags: ["--app", `127.0.0.1:${echo.port}`] });
  const outbound = await mesh.proxy({ name: "front", service: "front" });
  const revisions: number[] = [];
  for (const file of policiesOf(meshPolicy)) {
    const revision = await publish(admin, [file]);
    await activate(admin, revision);
    revisions.push(revision);
  }
  await mesh.healthy("echo");
  const load = startLoad(`unix:${outbound.outbound}`, options.rate);
  await pause(beforeMs);
  const before = connectionsTo(inbound.inbound.port);
  const tookMs: number[] = [];
  const startMs = performance.now();
  for (let index = 0; index < options.activations; index += 1)
    tookMs.push((await activate(admin, revisions[index % 2] ?? 0)).tookMs);
  const seconds = (performance.now() - startMs) / 1000;
  const after = connectionsTo(inbound.inbound.port);
  const { ok, failed, faults, p50Us, p99Us } = await load.end();
  const lost = [...before].filter((one) => !after.has(one)).length;
  const milliseconds = [p50Us / 1000, p99Us / 1000].map(render).join(" / ");
  const columns = [
    ...["activations", "in s", "RPC ms: median, p99", "calls", "failed", "call p50 / p99 ms"],
    ...["connections between the proxies: at first, closed", "aim"],
  ];
  const rpc = [median(tookMs), quantile(tookMs, 0.99)].map(render).join(", ");
  const aim = `0 failed, 0 closed: ${failed === 0 && lost === 0 ? "met" : "missed"}`;
  const figures = [
    options.activations,
    seconds.toFixed(0),
    rpc,
    ok,
    failed,
    milliseconds,
    `${before.size}, ${lost}`,
    aim,
  ];
  printTable(columns, [figures.map(String)]);
  if (failed > 0) console.log(`\nFailed: ${JSON.stringify(faults)}`);
}

/** Starts the load generator, which runs until it is told to end. It counts a closed connection as a failure. */
export function startLoad(target: string, rate: number): { end(): Promise<LoadFigures> } {
  const program = resolve(import.meta.dirname, "../load/main.js");
  const args = ["--target", target, "--authority", "echo", "--connections", "4", "--streams", "16"];
  const flags = [...args, "--rate", String(rate), "--seconds", String(loadSecondsMax), "--json"];
  const child: ChildProcess = spawn(process.execPath, [program, ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout?.on("data", (text) => {
    said += String(text);
  });
  const closed = once(child, "close");
  const stop = (): void => void child.kill("SIGTERM");
  const takeBack = whenKilled({ end: async () => stop(), endNow: stop });
  return {
    async end() {
      takeBack();
      stop();
      await closed;
      return JSON.parse(said) as LoadFigures;
    },
  };
}

/** Returns the callers' ends of open connections to a port of this machine, read from /proc. */
function connectionsTo(port: number): ReadonlySet<string> {
  const established = "01";
  const lines = readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1);
  const fields = lines.map((line) => line.trim().split(/\s+/));
  const wanted = fields.filter(([, , to, state]) => {
    return state === established && Number.parseInt(to?.split(":")[1] ?? "", 16) === port;
  });
  return new Set(wanted.map(([, from = ""]) => from));
}
