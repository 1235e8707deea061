/**
 * Starts what a run is measured on: a mesh with its NATS, and an application with its own NATS, each of one server or
 * three.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { whenKilled } from "../../test/conformance/when-killed.js";
import { startTestNats } from "../../test/support/nats.js";
import { type BenchMesh, childrenOf, startMesh } from "../proxy/mesh.js";
import { freePort, type Processes, untilListening } from "../proxy/pair.js";

export interface JournalMesh {
  readonly mesh: BenchMesh;
  /** The process ids by what the processes do. */
  readonly parties: Readonly<Record<string, readonly number[]>>;
  stop(): Promise<void>;
}

/**
 * Starts NATS servers without accounts, as an application would have. Resolves to their process ids and the address of
 * one.
 */
async function startOwnNats(processes: Processes, folder: string, servers: number): Promise<[number[], string]> {
  const places: { readonly port: number; readonly route: number }[] = [];
  for (let at = 0; at < servers; at += 1) places.push({ port: await freePort(), route: await freePort() });
  const routes = places.map(({ route }) => `nats://127.0.0.1:${route}`).join(",");
  const pids = places.map(({ port, route }, at) => {
    const store = join(folder, `nats-${at}`);
    mkdirSync(store);
    const alone = ["-js", "-sd", store, "-a", "127.0.0.1", "-p", String(port)];
    const cluster = ["-n", `own-${at}`, "--cluster_name", "own", "--cluster", `nats://127.0.0.1:${route}`];
    const all = servers === 1 ? alone : [...alone, ...cluster, "--routes", routes];
    return processes.start("nats-server", all).pid ?? 0;
  });
  for (const { port } of places) await untilListening(port);
  return [pids, `nats://127.0.0.1:${places[0]?.port}`];
}

/** Starts the mesh's own cluster of three servers. Without it, the control plane starts its single server. */
async function startCluster(folder: string) {
  const nats = await startTestNats({ cluster: true, dir: join(folder, "cluster") });
  const file = join(folder, "accounts.json");
  writeFileSync(file, JSON.stringify(nats.accountFile), { mode: 0o600 });
  whenKilled({ end: () => nats.stop(), endNow: () => {} });
  const pids = (): number[] => nats.servers.flatMap(({ pid }) => pid ?? []);
  return { nats, pids, up: ["--nats", nats.url, "--nats-account", file] };
}

export async function startJournalMesh(
  processes: Processes,
  folder: string,
  { replicas, workers, profile }: { replicas: 1 | 3; workers: number; profile: string | undefined },
): Promise<JournalMesh> {
  mkdirSync(folder, { mode: 0o700 });
  const [ownPids, url] = await startOwnNats(processes, folder, replicas);
  const backend = await freePort();
  const program = resolve(import.meta.dirname, "appending-server.js");
  const app = processes.start(process.execPath, [program, String(backend), url, String(replicas)]);
  await untilListening(backend);
  const cluster = replicas === 1 ? undefined : await startCluster(folder);
  const mesh = await startMesh(processes, folder, backend, { profile, workers, up: cluster?.up ?? [] });
  const parties = {
    "caller's proxy": mesh.outboundPids,
    "service's proxy": mesh.inboundPids,
    "mesh's NATS": cluster?.pids() ?? childrenOf(mesh.controlPlanePid),
    "control plane": [mesh.controlPlanePid],
    application: [app.pid ?? 0],
    "application's NATS": ownPids,
  };
  return { mesh, parties, stop: async () => cluster?.nats.stop() };
}
