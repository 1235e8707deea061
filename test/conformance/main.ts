import { join, resolve } from "node:path";
import { numberFlag, readFlags } from "../../bench/options.js";
import { until } from "../support/until.js";
import { Arena, type Check, type Target } from "./check.js";
import { startGateway } from "./gateway.js";
import { connectSocket, Mesh, openTls } from "./mesh.js";
import { countersOf, grown } from "./observe.js";
import { basePolicy } from "./policy.js";
import { Probe, type ProbeResult } from "./probe.js";
import { checksOf } from "./rows/index.js";
import { stopInterop } from "./rows/interop.js";
import { HostileUpstream, RecordingUpstream } from "./upstream.js";
import { whenKilled } from "./when-killed.js";

interface Row {
  readonly check: Check;
  readonly faults: readonly string[];
  readonly seen: string;
  readonly tookMs: number;
}

const flags = readFlags(process.argv.slice(2), {
  text: `npm run checks -- [--quick] [--only N,N] [--name TEXT] [--target proxy|gateway] [--latency-max MS] [--root DIR]
Attacks a real mesh from outside and prints what was seen: first a gateway, by anybody, then a
proxy, by a client with a certificate of the mesh; with --target one of the two. Exit 1 if a check fails.
Beside every check a good client calls; with --latency-max a call of it that takes longer fails the check, too.`,
  example: "npm run checks -- --quick --only 1,4",
});
const quick = flags.has("quick");
const only = new Set((flags.get("only") ?? []).flatMap((text) => text.split(",")).map(Number));
const named = flags.get("name")?.[0] ?? "";
/** Without a bound a good call has its deadline: how fast it is tells of the machine. */
const latencyMsMax = numberFlag(flags, "latency-max", Number.POSITIVE_INFINITY);
const targets = (["proxy", "gateway"] as const).filter((one) => (flags.get("target") ?? [one]).includes(one));
if (targets.length === 0) throw new Error("--target: proxy or gateway");
const root = resolve(flags.get("root")?.[0] ?? join(import.meta.dirname, "../../.."));

const mesh = new Mesh(root);
const upstream = new RecordingUpstream();
const hostile = new HostileUpstream();
const arenas: Arena[] = [];

/** Starts the mesh, and returns what is attacked, in turn. */
async function setUp(): Promise<void> {
  await mesh.start();
  await upstream.listen(join(mesh.dir, "app.sock"));
  await hostile.listen(join(mesh.dir, "wild.sock"));
  const [echo, wild, front, stranger] = await Promise.all([
    mesh.proxy({ name: "echo", service: "echo", app: join(mesh.dir, "app.sock") }),
    mesh.proxy({ name: "wild", service: "wild", app: join(mesh.dir, "wild.sock") }),
    mesh.proxy({ name: "front", service: "front" }),
    mesh.proxy({ name: "stranger", service: "stranger" }),
  ]);
  await mesh.apply(basePolicy);
  await mesh.healthy("echo");
  await mesh.healthy("wild");
  const parts = { mesh, quick, upstream, hostile, wild, front, stranger };
  if (targets.includes("gateway")) {
    const gateway = await startGateway(mesh);
    const probe = new Probe("https", () => openTls(mesh, gateway.inbound, undefined));
    arenas.push(new Arena({ ...parts, target: "gateway", attacked: gateway, probe }));
  }
  if (targets.includes("proxy")) {
    const probe = new Probe("http", () => connectSocket(front.outbound));
    arenas.push(new Arena({ ...parts, target: "proxy", attacked: echo, probe }));
  }
  const served = (): boolean => arenas.every(({ probe }) => probe.result().calls > 5);
  await until("the good clients are served", served);
}

function faultsOf(check: Check, probe: ProbeResult, grownCounters: readonly string[]): string[] {
  const faults: string[] = [];
  const gone = mesh.proxies.filter(({ child }) => !child.isRunning).map(({ name }) => name);
  if (gone.length > 0) faults.push(`gone: ${gone.join(", ")}`);
  if (!check.disturbing) {
    if (probe.failed > 0)
      faults.push(`${probe.failed} of ${probe.calls + probe.failed} good calls failed (${probe.firstFailure})`);
    if (probe.mostMs > latencyMsMax) faults.push(`a good call took ${Math.round(probe.mostMs)} ms`);
  }
  if (check.untouched && upstream.seen.length > 0) {
    faults.push(`the upstream saw ${upstream.seen.length}, first ${JSON.stringify(upstream.seen[0]?.path)}`);
  }
  if (check.counted !== false && grownCounters.length === 0) faults.push("no metric counted it");
  return faults;
}

async function perform(arena: Arena, check: Check): Promise<Row> {
  upstream.forget();
  const before = await countersOf(mesh.proxies);
  arena.probe.start();
  const startedMs = performance.now();
  let seen: string;
  const faults: string[] = [];
  try {
    const verdict = await check.run(arena);
    seen = verdict.seen;
    if (!verdict.pass) faults.push("another answer");
  } catch (error) {
    seen = error instanceof Error ? error.message : String(error);
    faults.push("could not be carried out");
  }
  arena.closeAll();
  const tookMs = performance.now() - startedMs;
  await new Promise((done) => setTimeout(done, 120));
  const counters = await countersOf(mesh.proxies.filter(({ child }) => child.isRunning));
  faults.push(...faultsOf(check, arena.probe.result(), grown(before, counters)));
  return { check, faults, seen, tookMs };
}

function print(target: Target, { check, faults, seen, tookMs }: Row): void {
  const result = faults.length === 0 ? "PASS" : "FAIL";
  const why = faults.length === 0 ? "" : ` [${faults.join("; ")}]`;
  const row = String(check.row).padStart(3);
  console.log(
    `${row} | ${target} | ${check.name} | ${seen.slice(0, 900)}${why} | ${result} | ${(tookMs / 1000).toFixed(1)} s`,
  );
}

async function main(): Promise<number> {
  const isChosen = (check: Check): boolean =>
    (only.size === 0 || only.has(check.row)) && check.name.includes(named) && !(quick && check.long);
  await setUp();
  console.log("row | target | check | seen | result | took");
  let [failed, all] = [0, 0];
  for (const arena of arenas) {
    for (const check of checksOf(arena.target, quick).filter(isChosen)) {
      const row = await perform(arena, check);
      print(arena.target, row);
      all++;
      if (row.faults.length > 0) failed++;
    }
    await arena.probe.stop();
  }
  console.log(`${all - failed} of ${all} checks passed`);
  return failed === 0 ? 0 : 1;
}

async function stop(): Promise<void> {
  for (const { probe } of arenas) await probe.stop();
  await mesh.stop();
  stopInterop();
  upstream.close();
  hostile.close();
}

whenKilled({ end: stop, endNow: () => undefined });
let code = 1;
try {
  code = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
} finally {
  await stop();
}
process.exit(code);
