/** What an idle connection takes at a gateway, beside a bare server of node:tls in the same run. */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { whenKilled } from "../../test/conformance/when-killed.js";
import type { Identity } from "../proxy/certificates.js";
import { printTable } from "../proxy/contenders.js";
import { freePort, type Processes, untilListening } from "../proxy/pair.js";
import type { BenchGateway } from "./gateway.js";

const program = (name: string): string => resolve(import.meta.dirname, `${name}.js`);

function residentKilobytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

/** Starts the clients and resolves when all of their connections stand. */
function openAll(speaks: "http2" | "tls", count: number, ports: readonly number[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [program("idle-clients"), speaks, String(count), ...ports.map(String)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const endNow = (): void => void child.kill("SIGTERM");
  child.once("exit", whenKilled({ end: async () => endNow(), endNow }));
  return new Promise((done, failed) => {
    child.once("exit", (code) => failed(new Error(`the clients of idle connections ended with ${code}`)));
    child.stdout?.on("data", (text: Buffer) => {
      if (String(text).startsWith(`open ${count}`)) done(child);
    });
  });
}

const settle = (seconds: number): Promise<void> => new Promise((done) => setTimeout(done, seconds * 1000));

export interface IdleOptions {
  readonly count: number;
  readonly settleSeconds: number;
}

/** Kilobytes that the process has more for each connection, after the first tenth of them came and went. */
async function measure(
  speaks: "http2" | "tls",
  pid: number,
  ports: readonly number[],
  { count, settleSeconds }: IdleOptions,
): Promise<number> {
  const close = async (clients: ChildProcess): Promise<void> => {
    clients.removeAllListeners("exit");
    clients.kill("SIGTERM");
    await settle(settleSeconds);
  };
  await close(await openAll(speaks, Math.ceil(count / 10), ports));
  const before = residentKilobytes(pid);
  const clients = await openAll(speaks, count, ports);
  await settle(settleSeconds);
  const each = (residentKilobytes(pid) - before) / count;
  const held = readdirSync(`/proc/${pid}/fd`).length;
  if (held < count) throw new Error(`of ${count} idle connections at most ${held} are still open`);
  await close(clients);
  return each;
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
    [`${options.count} idle connections`, "kB each"],
    [
      ["bare node:tls", tls.toFixed(1)],
      ["gateway", ours.toFixed(1)],
      ["gateway beside TLS (aim 20)", (ours - tls).toFixed(1)],
    ],
  );
}
