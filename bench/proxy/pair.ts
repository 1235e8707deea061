import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join, resolve } from "node:path";
import { whenKilled } from "../../test/conformance/when-killed.js";
import type { BenchIdentities } from "./certificates.js";
import type { PairPorts, Peer, Place } from "./peers.js";

const startBoundMs = 60_000;
const stopBoundMs = 15_000;

/** The processes that a bench started. They are stopped by their own ids. */
export class Processes {
  readonly #running: ChildProcess[] = [];
  #stopping = false;

  /** Starts a program. Its output is shown only if it fails. */
  start(command: string, args: readonly string[]): ChildProcess {
    const child = spawn(command, [...args], {
      env: { ...process.env, XDG_CONFIG_HOME: "/dev/null" }, // a bench's mesh must not become the user's default mesh
      stdio: ["ignore", "ignore", "pipe"],
    });
    let complaint = "";
    child.stderr?.on("data", (text) => {
      complaint = (complaint + String(text)).slice(-2000);
    });
    child.on("exit", (code) => {
      if (!this.#stopping && code !== 0 && code !== null)
        console.error(`${command} ended with ${code}: ${complaint.trim()}`);
    });
    this.#running.push(child);
    const endNow = () => void child.kill("SIGTERM");
    child.once("exit", whenKilled({ end: async () => endNow(), endNow }));
    return child;
  }

  /** Stops all; those that do not end within the bound are killed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const running = this.#running
      .splice(0)
      .filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    const ended = running.map((child) => new Promise<void>((resolve) => child.once("exit", () => resolve())));
    for (const child of running) child.kill("SIGTERM");
    const late = setTimeout(() => {
      for (const child of running) child.kill("SIGKILL");
    }, stopBoundMs);
    await Promise.all(ended);
    clearTimeout(late);
  }
}

/** Returns the first line of `command --version`. undefined: the command is not installed. */
export function versionOf(command: string, args: readonly string[]): string | undefined {
  try {
    return (
      execFileSync("sh", ["-c", `${command} ${args.join(" ")} 2>&1 | grep -m 1 .`], { encoding: "utf8" }).trim() ||
      undefined
    );
  } catch {
    return undefined;
  }
}

/** Returns a port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const server = createServer();
    server.on("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address !== null ? done(address.port) : failed(new Error("no port")),
      );
    });
  });
}

/** Waits until a process listens at a place of this machine. */
export async function untilListening(place: Place, boundMs = startBoundMs): Promise<void> {
  const end = performance.now() + boundMs;
  for (;;) {
    const open = await new Promise<boolean>((done) => {
      const socket = connect(typeof place === "string" ? { path: place } : { port: place, host: "127.0.0.1" }, () => {
        socket.destroy();
        done(true);
      });
      socket.on("error", () => done(false));
    });
    if (open) return;
    if (performance.now() > end) throw new Error(`nothing listens at ${place}`);
    await new Promise((wait) => setTimeout(wait, 50));
  }
}

/** Starts both halves of a peer's pair and returns their process ids. */
export async function startPair(
  processes: Processes,
  peer: Peer,
  ports: PairPorts,
  identities: BenchIdentities,
  folder: string,
): Promise<readonly number[]> {
  const pids: number[] = [];
  for (const half of ["inbound", "outbound"] as const) {
    const file = join(folder, `${peer.name}-${half}.${peer.fileEnding ?? "conf"}`);
    writeFileSync(file, peer[half](ports, identities, folder));
    const child = processes.start(peer.command, peer.arguments(file, folder));
    await untilListening(ports[half]);
    if (child.pid !== undefined) pids.push(child.pid);
  }
  return pids;
}

/** Starts the engine without any policy as a pair, which shows what frames alone cost. */
export async function startBarePair(
  processes: Processes,
  ports: PairPorts,
  { ca, client, server }: BenchIdentities,
): Promise<readonly number[]> {
  const program = resolve(import.meta.dirname, "../forwarder/main.js");
  const inbound = ["--port", ports.inbound, "--to", ports.backend, "--tls", server.certificate, server.key, ca];
  const outbound = ["--port", ports.outbound, "--to", ports.inbound, "--to-tls", client.certificate, client.key, ca];
  const first = processes.start(process.execPath, [program, ...inbound.map(String)]);
  await untilListening(ports.inbound);
  const second = processes.start(process.execPath, [program, ...outbound.map(String)]);
  await untilListening(ports.outbound);
  return [first.pid ?? 0, second.pid ?? 0];
}

/** Starts the echo server of this bench on a free port as its own process. `args`: further flags for it. */
export async function startEcho(
  processes: Processes,
  args: readonly string[] = [],
): Promise<{ readonly port: number; readonly pid: number }> {
  const port = await freePort();
  return { port, pid: await startEchoAt(processes, port, args) };
}

/** Starts the echo server at `place`. Resolves with its process id. */
export async function startEchoAt(processes: Processes, place: Place, args: readonly string[] = []): Promise<number> {
  const where = typeof place === "string" ? ["--socket", place] : ["--port", String(place)];
  const program = resolve(import.meta.dirname, "../echo-server/main.js");
  const child = processes.start(process.execPath, [program, ...where, "--streams", "1000", ...args]);
  await untilListening(place);
  return child.pid ?? 0;
}
