import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join, resolve } from "node:path";
import { trafficPolicy } from "../calls/traffic.js";
import { envoy } from "../peers/envoy.js";
import { writeIdentities } from "./certificates.js";
import { startMesh } from "./mesh.js";
import { freePort, type Processes, startBarePair, startEchoAt, startPair, versionOf } from "./pair.js";
import { haproxy, nginx, type Place, placeText } from "./peers.js";

/** A way to send calls: directly, through a peer's pair, or through ours. */
export interface Contender {
  readonly name: string;
  readonly port: number;
  /** The path of a Unix socket that is used instead of the port. */
  readonly socket?: string | undefined;
  readonly pids: readonly number[];
  /** The load generator's flags for this contender alone. */
  readonly loadFlags?: readonly string[];
}

/** The peers. They are used if they are found on the PATH, Envoy also by the path in the variable ENVOY. */
const peers = [haproxy, nginx, envoy];

/** The result that the load generator prints (bench/load). */
export interface LoadFigures {
  readonly cpuUsPerCall: number;
  readonly callsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly ok: number;
  readonly failed: number;
  /** How often each failure occurred. */
  readonly faults: Readonly<Record<string, number>>;
}

export interface ContenderOptions {
  /** The names of the wanted contenders. undefined: all. "none" is the echo server without a proxy. */
  readonly only?: readonly string[] | undefined;
  /** The length of the server's answer in bytes. undefined: the server sends back the request. */
  readonly answerBytes?: number;
  /** The numbers of workers; there is a mesh for each. undefined: one mesh without workers. */
  readonly workers?: readonly number[] | undefined;
  /** Whether client and server are reached by Unix sockets, as applications beside a proxy are. */
  readonly unix?: boolean;
  /** The folder for CPU profiles of the mesh's proxies. */
  readonly profile?: string | undefined;
}

/** Starts the echo server and every wanted pair that is installed, and warms them up. Prints which were left out. */
export async function startContenders(
  processes: Processes,
  folder: string,
  { only, profile, answerBytes, workers: counts = [1], unix = false }: ContenderOptions,
): Promise<Contender[]> {
  const isWanted = (name: string) => only === undefined || only.includes(name);
  const identities = writeIdentities(folder);
  const answer = answerBytes === undefined ? [] : ["--answer", String(answerBytes)];
  const place = async (name: string, within = folder): Promise<Place> =>
    unix ? join(within, `${name}.sock`) : await freePort();
  const backend = await place("echo");
  const echo = await startEchoAt(processes, backend, answer);
  const contenders: Contender[] = [];
  const add = (name: string, at: Place, pids: readonly number[]): void => {
    contenders.push({ name, pids, ...(typeof at === "string" ? { port: 0, socket: at } : { port: at }) });
  };
  const newPorts = async (name: string) => ({ outbound: await place(name), inbound: await freePort(), backend });
  if (isWanted("none")) add("none", backend, [echo]);
  for (const peer of peers) {
    if (!isWanted(peer.name)) continue;
    const version = versionOf(peer.command, peer.versionArguments);
    if (version === undefined || /not found/.test(version)) {
      console.log(`${peer.name}: not found, left out`);
      continue;
    }
    console.log(`${peer.name}: ${version}`);
    const ports = await newPorts(peer.name);
    add(peer.name, ports.outbound, await startPair(processes, peer, ports, identities, folder));
  }
  if (isWanted("bare engine") && !unix) {
    const ports = await newPorts("bare");
    add("bare engine", ports.outbound, await startBarePair(processes, ports, identities));
  }
  if (isWanted("mesh")) {
    for (const workers of counts) {
      const name = workers === 1 ? "mesh" : `mesh, ${workers} workers`;
      const own = join(folder, `mesh-${workers}`);
      mkdirSync(own, { mode: 0o700 });
      const at = await place("in", own);
      const { pids } = await startMesh(processes, own, backend, { profile, workers, at });
      add(name, at, pids);
      console.log(`${name}: RSS ${pids.map(residentMegabytes).join(" and ")} MB at its start (inbound, outbound)`);
    }
  }
  if (only?.includes("mesh-traffic") === true) {
    const own = join(folder, "mesh-traffic");
    mkdirSync(own, { mode: 0o700 });
    // One instance that both sides of the split select, so that both meshes have as many connections.
    const policy = trafficPolicy
      .replaceAll("version: v1,", "labels: { side: a },")
      .replaceAll("version: v2,", "labels: { half: b },");
    const at = await place("in", own);
    const { pids } = await startMesh(processes, own, backend, { policy, labels: ["side=a", "half=b"], at });
    add("mesh-traffic", at, pids);
  }
  // The first calls, in which everything is loaded; what shape is to be measured is warmed by `settle`.
  const warm = ["--connections", "8", "--streams", "8", "--calls", "60000", "--seconds", "12", ...answer];
  for (const contender of contenders) runLoad(contender, warm);
  return contenders;
}

const settleBurstsMax = 12;
/** A contender is settled when two bursts in a row cost at most this many times the least so far. */
const settledWithin = 1.1;

/**
 * Loads a contender until its cost per call no longer falls, with a dozen bursts at most. Returns their number. V8
 * compiles code while it runs, so the first seconds of a shape cost several times what later ones do. A peer written in
 * C settles at once.
 */
export function settle(contender: Contender, args: readonly string[]): number {
  let least = Number.POSITIVE_INFINITY;
  let near = 0;
  for (let burst = 1; burst <= settleBurstsMax; burst++) {
    const { cpuUsPerCall } = runLoad(contender, args);
    near = cpuUsPerCall <= least * settledWithin && cpuUsPerCall >= least / settledWithin ? near + 1 : 0;
    least = Math.min(least, cpuUsPerCall);
    if (near === 2) return burst;
  }
  return settleBurstsMax;
}

/**
 * Runs a load generator, which is the folder `generator` of bench/, against a contender. `args`: its flags except the
 * target.
 */
export function runLoad(
  { port, socket, pids, loadFlags = [] }: Contender,
  args: readonly string[],
  generator = "load",
): LoadFigures {
  const program = resolve(import.meta.dirname, "..", generator, "main.js");
  const target = ["--target", placeText(socket ?? port, "unix:")];
  const all = [...target, ...loadFlags, ...args, "--cpu-of", ...pids.map(String), "--json"];
  try {
    return JSON.parse(execFileSync(process.execPath, [program, ...all], { encoding: "utf8" }));
  } catch (error) {
    const { stdout } = error as { readonly stdout?: string };
    if (stdout) return JSON.parse(stdout); // exit code 1 means that some calls failed, and the output says how many
    throw error;
  }
}

/** Runs one round with each contender in turn and appends to `figures`, which has a list for each of them. */
export function runRound(
  contenders: readonly Contender[],
  figures: readonly LoadFigures[][],
  args: readonly string[],
): void {
  for (const [place, contender] of contenders.entries()) figures[place]?.push(runLoad(contender, args));
}

/** Returns the RSS in megabytes, from /proc. */
export function residentMegabytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Math.round(Number(match?.[1]) / 1024);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

export function machine(): string {
  return `${cpus().length} × ${cpus()[0]?.model ?? "?"}, node ${process.version}`;
}

export function printTable(columns: readonly string[], rows: readonly (readonly string[])[]): void {
  console.log(`| ${columns.join(" | ")} |`);
  console.log(`|${"---|".repeat(columns.length)}`);
  for (const row of rows) printRow(row);
}

export function printRow(row: readonly string[]): void {
  console.log(`| ${row.join(" | ")} |`);
}
