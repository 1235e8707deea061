/** How much memory an idle connection takes at a gateway, compared with a bare server of node:tls in the same run. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { whenKilled } from "../../test/conformance/when-killed.js";
import type { Identity } from "../proxy/certificates.js";
import { printTable } from "../proxy/contenders.js";
import { freePort, type Processes, untilListening } from "../proxy/pair.js";
import type { BenchGateway } from "./gateway.js";

const program = (name: string): string => resolve(import.meta.dirname, `${name}.js`);

function residentKilobytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

interface Clients {
  readonly process: ChildProcess;
  /** How many connections the other side closed. */
  closed: number;
}

/** Starts the clients and resolves when all of their connections stand. */
function openAll(speaks: "http2" | "tls", count: number, ports: readonly number[]): Promise<Clients> {
  const child = spawn(process.execPath, [program("idle-clients"), speaks, String(count), ...ports.map(String)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const endNow = (): void => void child.kill("SIGTERM");
  child.once("exit", whenKilled({ end: async () => endNow(), endNow }));
  const clients: Clients = { process: child, closed: 0 };
  return new Promise((done, failed) => {
    child.once("exit", (code) => failed(new Error(`the clients of idle connections ended with ${code}`)));
    createInterface(child.stdout).on("line", (line) => {
      if (line === "closed") clients.closed++;
      else if (line === `open ${count}`) done(clients);
    });
  });
}

const settle = (seconds: number): Promise<void> => new Promise((done) => setTimeout(done, seconds * 1000));

export interface IdleOptions {
  readonly count: number;
  readonly settleSeconds: number;
}

interface Measured {
  /** How many kilobytes the process grew per connection, after the first tenth of them had been opened and closed. */
  readonly kilobytes: number;
  readonly closed: number;
}

async function measure(
  speaks: "http2" | "tls",
  pid: number,
  ports: readonly number[],
  { count, settleSeconds }: IdleOptions,
): Promise<Measured> {
  const close = async ({ process }: Clients): Promise<void> => {
    process.removeAllListeners("exit");
    process.kill("SIGTERM");
    await settle(settleSeconds);
  };
  await close(await openAll(speaks, Math.ceil(count / 10), ports));
  const before = residentKilobytes(pid);
  const clients = await openAll(speaks, count, ports);
  await settle(settleSeconds);
  const { closed } = clients;
  const kilobytes = (residentKilobytes(pid) - before) / (count - closed);
  await close(clients);
  return { kilobytes, closed };
}

export async function measureIdle(
  processes: Processes,
  gateway: BenchGateway,
  { certificate, key }: Identity,
  options: IdleOptions,
): Promise<void> {
  const port = await freePort();
  const bare = processes.start(process.execPath, [program("tls-server"), certificate, key, String(port)]);
  await untilListening(port);
  const tls = await measure("tls", bare.pid ?? 0, [port], options);
  const ours = await measure("http2", gateway.pid, gateway.ports, options);
  printTable(
    [`${options.count} idle connections`, "kB each", "closed (aim 0)"],
    [
      ["bare node:tls", tls.kilobytes.toFixed(1), `${tls.closed}`],
      ["gateway", ours.kilobytes.toFixed(1), `${ours.closed}`],
      ["gateway beside TLS (aim 20)", (ours.kilobytes - tls.kilobytes).toFixed(1), ""],
    ],
  );
}
