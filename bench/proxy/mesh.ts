import { type ChildProcess, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { freePort, type Processes, untilListening } from "./pair.js";
import { type Place, placeText } from "./peers.js";

const cli = resolve(import.meta.dirname, "../../cli/main.js");
const boundMs = 90_000;

/** A policy as operators would have it: the named callers may call method by method, and a rule routes the calls. */
export const meshPolicy = `kind: Service
name: echo
methods: [bench.Echo/Call]
---
kind: Service
name: front
---
kind: Service
name: guest
---
kind: Authorization
name: front-calls
service: echo
allow:
  - from: [front]
    methods: [bench.Echo/Call]
deny:
  - from: [guest]
---
kind: Route
name: echo
service: echo
rules:
  - match: { methods: ["bench.Echo/*"] }
    timeout: 60s
`;

/** What a bench's mesh has besides its two services. */
export interface MeshOptions {
  /** A folder for CPU profiles of both proxies and the control plane. */
  readonly profile?: string | undefined;
  /** The number of workers of each proxy. */
  readonly workers?: number;
  readonly policy?: string;
  /** The labels of the proxy in front of the server, each KEY=VALUE. */
  readonly labels?: readonly string[];
  /** Where the caller's proxy listens. Left out: at a free port. */
  readonly at?: Place;
  /** More flags of the control plane, as of a cluster of NATS. */
  readonly up?: readonly string[];
}

export interface BenchMesh {
  /** The port from which every call goes to the echo server. 0: it is a Unix socket. */
  readonly port: number;
  /** The process ids: of the inbound proxy with its workers, and of the outbound one. */
  readonly pids: readonly number[];
  readonly inboundPids: readonly number[];
  readonly outboundPids: readonly number[];
  readonly controlPlanePid: number;
  /** The socket at which any service may be called, by its authority. */
  readonly outboundSocket: string;
  /** The path of the join file. */
  readonly joinFile: string;
  /** Runs a command of the mesh's operator and gives its output. */
  run(...args: readonly string[]): string;
}

/**
 * Starts a mesh of two proxies in front of the echo server at `backend`, with control plane, authorization, routing and
 * metrics.
 */
export async function startMesh(
  processes: Processes,
  folder: string,
  backend: Place,
  { profile, workers = 1, policy = meshPolicy, labels = [], at, up = [] }: MeshOptions = {},
): Promise<BenchMesh> {
  const data = join(folder, "up");
  const profiling = profile === undefined ? [] : ["--cpu-prof", "--cpu-prof-dir", profile];
  const upArgs = [cli, "up", "--data", data, "--mesh", "bench", "--listen", "127.0.0.1:0", ...up];
  const controlPlane = processes.start(process.execPath, [...profiling, ...upArgs]);
  await until(() => existsSync(join(data, "ready.json")));
  const run = (...args: readonly string[]): string =>
    execFileSync(process.execPath, [cli, ...args], {
      encoding: "utf8",
      env: { ...process.env, ASHLAR_CONTEXT: join(data, "admin.json") },
    });
  const start = async (service: string, ...flags: readonly string[]): Promise<ChildProcess> => {
    const own = join(folder, service);
    mkdirSync(own, { mode: 0o700 });
    writeFileSync(join(own, "token"), run("token", "--service", service, "--version", "v1"));
    const args = [cli, "proxy", "--service", service, "--token", join(own, "token")];
    args.push("--join", join(data, "join.json"), "--data", join(own, "data"), "--inbound", "127.0.0.1:0");
    args.push("--outbound", `unix:${own}/out.sock`, "--workers", String(workers), ...flags);
    return processes.start(process.execPath, [...profiling, ...args]);
  };
  const labelled = labels.flatMap((label) => ["--label", label]);
  const inbound = await start("echo", "--app", placeText(backend, "unix:"), ...labelled);
  const place = at ?? (await freePort());
  const outbound = await start("front", "--upstream", `echo=${placeText(place, "unix:")}`);
  await untilListening(place);
  const file = join(folder, "policy.yaml");
  writeFileSync(file, policy);
  run("apply", "-f", file, "--wait");
  await until(() => /"healthy": *true/.test(run("services", "-o", "json")));
  const outboundSocket = join(folder, "front", "out.sock");
  const pidsOf = ({ pid = 0 }: ChildProcess): readonly number[] => [pid, ...childrenOf(pid)];
  const [inboundPids, outboundPids] = [pidsOf(inbound), pidsOf(outbound)];
  const pids = [...inboundPids, ...outboundPids];
  const joinFile = join(data, "join.json");
  const port = typeof place === "string" ? 0 : place;
  const controlPlanePid = controlPlane.pid ?? 0;
  return { port, pids, inboundPids, outboundPids, controlPlanePid, outboundSocket, joinFile, run };
}

/** Returns the process ids of a proxy's workers. */
export function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + boundMs;
  while (!holds()) {
    if (performance.now() > end) throw new Error("the mesh is not ready in time");
    await new Promise((wait) => setTimeout(wait, 200));
  }
}
